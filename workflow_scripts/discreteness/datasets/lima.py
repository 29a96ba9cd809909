"""LIMA (arXiv 2305.11206), or any JSON-lines file in its layout: an object a line with `conversations`, `source`."""

import json
from pathlib import Path

import pandas as pd

from discreteness.errors import InputError


def load(row: dict) -> pd.DataFrame:
    """Each conversation's first turn is the prompt, its second the reference answer.

    row: `path`, a local JSON-lines file. Raises InputError with file and line for anything malformed.
    """
    path = Path(row["path"])
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open(encoding="utf-8") as file:
        records = [_record(line, f"{path}:{number}") for number, line in enumerate(file, 1) if line.strip()]
    frame = pd.DataFrame(records, columns=["prompt", "answer", "source"])
    frame.insert(0, "row", range(len(frame)))
    return frame


def _record(line: str, where: str) -> tuple[str, str, str]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error})") from None
    turns = record.get("conversations") if isinstance(record, dict) else None
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise InputError(f"{where}: expected an object whose `conversations` is a list of strings")
    if len(turns) < 2:
        raise InputError(f"{where}: `conversations` has {len(turns)} turns, expected a prompt and an answer")
    for name, turn in zip(("prompt", "answer"), turns, strict=False):
        if not turn.strip():
            raise InputError(f"{where}: empty {name}")
    return turns[0], turns[1], str(record.get("source") or "")
