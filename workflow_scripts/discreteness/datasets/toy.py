"""The two-sentence language of arXiv 2512.22630: each sentence has probability 1/2."""

import pandas as pd

SENTENCES = ("He likes apple", "I play tennis")


def load(row: dict) -> pd.DataFrame:
    """The two sentences as answers to one and the same prompt. The row has no keys besides `kind`."""
    return pd.DataFrame(
        {
            "row": range(len(SENTENCES)),
            "prompt": "Say a sentence.",
            "answer": SENTENCES,
            "source": "arXiv 2512.22630",
        }
    )
