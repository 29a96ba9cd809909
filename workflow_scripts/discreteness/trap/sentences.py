"""Decoded strings of a language whose sentences are known: the share that are no sentences, and their violations."""

import numpy as np
import pandas as pd

from discreteness.core.statistics import FEWEST, wilson
from discreteness.languages.language import Language


def sentence_table(language: Language, answers: pd.DataFrame) -> pd.DataFrame:
    """Shares of invalid decoded strings, by kind of violation, and diversity.

    answers: the table of `decode`, texts in the language's words. Columns temperature, steps, statistic, value, low,
    high, samples: shares with Wilson 95 % intervals, `invalid_…` by kind of violation (a string may have several), and
    `distinct`, number of different strings / number of strings. Smallest numbers of strings: 1 for the shares, FEWEST
    for `distinct`, which is always 1 for a single string; NaN below.
    """
    rows = []
    for (temperature, steps), group in answers.groupby(["temperature", "steps"]):
        strings = language.encode(list(group["text"]))
        n = len(strings)
        wrong = {"invalid": ~language.contains(strings)}
        if language.violations is not None:
            kinds = language.violations(language, strings)
            wrong.update({f"invalid_{kind}": bad for kind, bad in kinds.items()})
        for statistic, bad in wrong.items():
            rows.append((temperature, steps, statistic, *wilson(int(bad.sum()), n), n))
        distinct = len(np.unique(strings, axis=0)) / n if n >= FEWEST else np.nan
        rows.append((temperature, steps, "distinct", distinct, np.nan, np.nan, n))
    return pd.DataFrame(rows, columns=["temperature", "steps", "statistic", "value", "low", "high", "samples"])
