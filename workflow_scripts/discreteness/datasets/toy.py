"""Two languages of two sentences each, every sentence of probability 1/2.

`toy` is the training set of arXiv 2512.22630; `abab` is asked about by users of LLaDA.
"""

import pandas as pd

from discreteness.languages import get_language, sample_rows

SENTENCES = ("He likes apple", "I play tennis")
ALTERNATIONS = ("A B A B", "B A B A")


def load(row: dict) -> pd.DataFrame:
    """The two sentences as answers to an empty prompt, or `sentences` draws from them; see `languages.sample_rows`.

    row: `language`, `toy` (default) or `abab`.
    """
    return sample_rows(get_language(row.get("language", "toy")), row)
