"""Uniform corruption is not uniform information loss: what it costs to hide tokens, measured on reference answers.

estimate: the information curve, token by token. records: each prompt's curve from them. views: what is recoverable
where. schedules, price, report: what parallel decoding costs, beside what is known of it. corruption: masks, random
tokens and Gaussian noise on a language that is known. smooth: the schedule under which a corruption loses information
evenly. salience: the same share of content and of function words. monotone: noise taken out of a curve.
"""
