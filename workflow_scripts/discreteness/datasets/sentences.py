"""Sentences of a known language as answers to an empty prompt."""

import numpy as np
import pandas as pd

from discreteness.languages import get_language


def load(row: dict) -> pd.DataFrame:
    """Columns row, prompt (empty: a language has no prompt), answer, source.

    row: `language` (default: its `kind`), `sentences`, how many are drawn (default: every sentence once), and `seed` of
    the draw (default 0). Raises InputError for an unknown language.
    """
    language = get_language(row.get("language", row["kind"]))
    places = np.arange(len(language.token_ids))
    if "sentences" in row:
        places = language.sample(row["sentences"], row.get("seed", 0))
    texts = [language.text(ids) for ids in language.token_ids.tolist()]
    answers = [texts[place] for place in places]
    return pd.DataFrame({"row": range(len(answers)), "prompt": "", "answer": answers, "source": language.name})
