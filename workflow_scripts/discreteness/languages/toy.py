"""Two languages of two sentences each, every sentence of probability 1/2.

`toy` is the training set of arXiv 2512.22630; `abab` comes from a question of LLaDA users.
"""

SENTENCES = ("He likes apple", "I play tennis")
ALTERNATIONS = ("A B A B", "B A B A")
