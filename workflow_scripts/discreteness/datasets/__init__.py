"""Build a data set's prompts from its row. The module of a kind is imported only when it is needed."""

from importlib import import_module

import pandas as pd

from discreteness.core.errors import InputError

KINDS = {"docs": "docs", "grammar": "sentences", "lima": "lima", "toy": "sentences"}  # kind -> module
WITHOUT_PROMPT = ("grammar", "toy")  # a language's sentences have an empty prompt


def load_dataset(name: str, row: dict) -> pd.DataFrame:
    """Columns prompt_id, row, prompt, answer, source of the data set `name` described by `row` (its `kind` and keys).

    Raises InputError for an unknown kind, a missing file and any empty answer or, except for languages, prompt.
    """
    if row.get("kind") not in KINDS:
        raise InputError(f"data set {name}: kind = {row.get('kind')!r} is unknown (expected {' or '.join(KINDS)})")
    frame = import_module(f"discreteness.datasets.{KINDS[row['kind']]}").load(row)
    for column in ("answer",) if row["kind"] in WITHOUT_PROMPT else ("prompt", "answer"):
        empty = frame.index[frame[column].str.strip() == ""]
        if len(empty):
            raise InputError(f"data set {name}: row {frame.at[empty[0], 'row']} has an empty {column}")
    if frame.empty:
        raise InputError(f"data set {name}: no rows")
    frame.insert(0, "prompt_id", [f"{name}-{number:05d}" for number in frame["row"]])
    return frame[["prompt_id", "row", "prompt", "answer", "source"]]
