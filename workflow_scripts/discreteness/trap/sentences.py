"""What decoding makes of a language whose sentences are known: how many strings are none, and why."""

import numpy as np
import pandas as pd

from discreteness.core.statistics import FEWEST, wilson
from discreteness.languages.language import Language


def sentence_table(language: Language, answers: pd.DataFrame) -> pd.DataFrame:
    """What is wrong with decoded strings, and how diverse they are.

    answers: of `decode`, texts of the language's words. Columns temperature, steps, statistic, value, low, high,
    samples: shares with Wilson 95 % intervals, `invalid_…` by kind of violation (a string may have several), and
    `distinct`, different strings / strings. Smallest numbers of strings: 1 for the shares, FEWEST for `distinct`, as
    one string is always different; NaN below.
    """
    rows = []
    for (temperature, steps), part in answers.groupby(["temperature", "steps"]):
        strings = language.encode(list(part["text"]))
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
