"""Uniform corruption is not uniform information loss: what it costs to hide tokens, measured on reference answers.

estimate: the information curve, token by token.
records: each prompt's curve, from the rows of `estimate`.
views: recoverable information by position, distance to a visible token, mask ratio and token class.
step_sizes, price, report: what parallel decoding costs, compared with exact prices and measured regret.
corruption: masks, random tokens and Gaussian noise on a language that is known.
smooth: the schedule under which a corruption loses information evenly.
salience: the cost of hiding content words and of hiding as many function words.
"""
