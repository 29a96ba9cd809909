"""Two languages of two sentences each, every sentence of probability 1/2.

`toy` is the training set of arXiv 2512.22630; `abab` is asked about by users of LLaDA.
"""

SENTENCES = ("He likes apple", "I play tennis")
ALTERNATIONS = ("A B A B", "B A B A")
