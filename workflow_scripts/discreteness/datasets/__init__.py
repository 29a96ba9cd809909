"""Build a data set's prompts from its row. The module of a kind is imported only when it is needed."""

from dataclasses import dataclass
from importlib import import_module

import pandas as pd

from discreteness.core.errors import InputError


@dataclass(frozen=True)
class Kind:
    """A kind of data set.

    module: of this package, with `load(row)`. about: for the documentation. is_language: its rows are sentences of a
    language that is known exactly, whose prompt is empty.
    """

    module: str
    about: str
    is_language: bool = False


KINDS = {
    "docs": Kind("docs", "docstrings of installed packages"),
    "grammar": Kind("sentences", "sentences of a small English that is known exactly", is_language=True),
    "lima": Kind("lima", "a JSON-lines file in LIMA's layout"),
    "toy": Kind("sentences", "a language of two sentences", is_language=True),
}


def load_dataset(name: str, row: dict) -> pd.DataFrame:
    """Columns prompt_id, row, prompt, answer, source of the data set `name` described by `row` (its `kind` and keys).

    Raises InputError for an unknown kind, a missing file and any empty answer or, except for languages, prompt.
    """
    if row.get("kind") not in KINDS:
        raise InputError(f"data set {name}: kind = {row.get('kind')!r} is unknown (expected {' or '.join(KINDS)})")
    frame = import_module(f"discreteness.datasets.{KINDS[row['kind']].module}").load(row)
    for column in ("answer",) if KINDS[row["kind"]].is_language else ("prompt", "answer"):
        empty = frame.index[frame[column].str.strip() == ""]
        if len(empty):
            raise InputError(f"data set {name}: row {frame.at[empty[0], 'row']} has an empty {column}")
    if frame.empty:
        raise InputError(f"data set {name}: no rows")
    frame.insert(0, "prompt_id", [f"{name}-{number:05d}" for number in frame["row"]])
    return frame[["prompt_id", "row", "prompt", "answer", "source"]]
