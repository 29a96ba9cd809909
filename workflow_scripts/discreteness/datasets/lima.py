"""LIMA (arXiv 2305.11206) and JSON-lines files in its layout: an object per line with `conversations`, `source`."""

import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from discreteness.core.errors import InputError

LISTED = 20  # rows in a log line
logger = logging.getLogger("discreteness")


def load(row: dict) -> pd.DataFrame:
    """Each conversation's first turn is the prompt, its second the reference answer.

    row: `path`, a local JSON-lines file in UTF-8, compressed if it ends in `.gz`; `empty_prompts`, for conversations
    whose prompt or answer is empty: `refuse` (the default) raises InputError, `skip` leaves them out and lists them in
    the log. Raises InputError with file and line for anything malformed.
    """
    path = Path(row["path"])
    if path.is_dir():
        raise InputError(f"{path}: a folder, expected a JSON-lines file")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    skip = row.get("empty_prompts") == "skip"
    lines = ((where, text) for where, text in _lines(path) if text.strip())
    records = [(number, *_record(text, where, skip)) for number, (where, text) in enumerate(lines)]
    if not records:
        raise InputError(f"{path}: empty, expected one conversation per line")
    frame = pd.DataFrame(records, columns=["row", "prompt", "answer", "source"])
    empty = (frame[["prompt", "answer"]].apply(lambda texts: texts.str.strip()) == "").any(axis=1)
    if empty.any():
        listed = ", ".join(map(str, frame.loc[empty, "row"].head(LISTED))) + (" …" if empty.sum() > LISTED else "")
        logger.warning("%d of %d rows have an empty prompt or answer, skipped: %s", empty.sum(), len(frame), listed)
    return frame[~empty].reset_index(drop=True)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(`path:number`, text) of every line; only a line feed ends a line, as JSON text may contain other line ends."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield f"{path}:{number}", _decoded(line, f"{path}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"no whole gzip file: {error}"
        raise InputError(f"{path}:{number + 1}: cannot be read ({reason})") from None


def _decoded(line: bytes, where: str) -> str:
    """The text of a line, without the byte order mark that some programs write."""
    try:
        text = line.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1} is 0x{line[error.start]:02x}"
        raise InputError(f"{where}: not UTF-8 ({byte}); expected the file in UTF-8") from None
    if "\0" in text:
        raise InputError(f"{where}: character {text.index(chr(0)) + 1} is NUL; expected text in UTF-8")
    return text


def _record(line: str, where: str, empty_is_fine: bool) -> tuple[str, str, str]:
    """Prompt, answer and source of a line."""
    record = _parsed(line, where)
    turns = record.get("conversations") if isinstance(record, dict) else None
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise InputError(f"{where}: expected an object whose `conversations` is a list of strings")
    if len(turns) < 2:
        raise InputError(f"{where}: `conversations` has {len(turns)} turns, expected a prompt and an answer")
    source = record.get("source")
    if not isinstance(source, str | int | float | None):
        raise InputError(f"{where}: `source` is of type {type(source).__name__}, expected a string")
    texts = {"prompt": turns[0], "answer": turns[1], "source": str(source or "")}
    for name in ("prompt", "answer"):
        if not texts[name].strip() and not empty_is_fine:
            raise InputError(f"{where}: empty {name} (config: `empty_prompts: skip` goes on without)")
    for name, text in texts.items():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"\\u{ord(text[error.start]):x}"
            raise InputError(f"{where}: {name} has half a character ({half}, a lone surrogate)") from None
    return texts["prompt"], texts["answer"], texts["source"]


def _parsed(line: str, where: str) -> object:
    """The JSON value of a line; strings may contain tabs and other control characters."""
    try:
        return json.loads(line, strict=False)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg} at character {error.pos + 1})") from None
    except ValueError:  # the only other one: more digits than Python makes an integer of
        raise InputError(f"{where}: a number has too many digits") from None
    except RecursionError:
        raise InputError(f"{where}: lists or objects are nested too deeply") from None
