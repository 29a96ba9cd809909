"""Uniform corruption is not uniform information loss: what it costs to hide tokens, measured on reference answers.

estimate: the information curve, token by token. views: what is recoverable where. schedules, price: what parallel
decoding costs. corruption: masks, random tokens and Gaussian noise on a language that is known. salience: the same
share of content and of function words.
"""
