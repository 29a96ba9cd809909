"""Files: written completely or not at all, read with their columns checked."""

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from discreteness.core.columns import COLUMNS
from discreteness.core.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Columns of tidy tables that are read as text, also where it looks like numbers: the text columns of the Parquet
# tables, and those that only CSV tables have
CSV_TEXT = frozenset(name for name, column in COLUMNS.items() if column.type == pa.string()) | {
    *("model", "dataset", "statistic", "variant"),
    *("decoder", "language", "decoding", "string", "judge", "judge_fits"),
    *("schedule", "view", "group", "corruption", "measure"),
}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block ends well and disappears when it does not.

    Raises InputError, one line, when there is no room or no right to write.
    """
    path = Path(path)
    with hidden_folder(path) as folder:
        temporary = folder / path.name
        yield temporary
        put(temporary, path)


@contextmanager
def hidden_folder(path: str | Path) -> Iterator[Path]:
    """A hidden folder next to `path`, in which `path` is written; removed with all that libraries leave there.

    Only a killed process leaves its folder; the next writer of the same path removes it. Raises InputError as `atomic`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        reason = full_disk(error) or error.strerror
        raise InputError(f"{path}: cannot be written here ({reason}); nothing was overwritten") from None
    lock = _locked(folder)
    try:
        yield folder
    except Exception as error:
        if reason := full_disk(error):
            raise InputError(f"{path}: {reason}; nothing was overwritten") from None
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def put(temporary: Path, path: Path) -> None:
    """Move a finished file to its name, after its content is on the disk: a power cut leaves no empty file."""
    # some libraries write private files; results follow the user's umask as other files do
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def check_writable(folder: str | Path) -> None:
    """Raise InputError, one line, unless files can be written in a folder or, if missing, in its nearest parent."""
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise InputError(f"{there}: cannot be written ({error.strerror})") from None


def check_link(folder: str | Path) -> None:
    """Raise InputError, one line, where a folder's name is taken by a broken link or by a file."""
    folder = Path(folder)
    if folder.is_symlink() and not folder.exists():
        raise InputError(f"{folder}: is a link to {os.readlink(folder)}, which is not there")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file (expected a folder, a link to one, or nothing)")


def full_disk(error: BaseException) -> str | None:
    """The message where an error, of Python or of safetensors, means that the disk is full; None for other errors."""
    code = getattr(error, "errno", None)
    if match := re.search(r"\(os error (\d+)\)", str(error)):
        code = int(match[1])
    return "no disk space left" if code in NO_SPACE else None


def _locked(folder: Path) -> int | None:
    """The handle of a folder, locked until it is closed or the process ends; None where it cannot be locked."""
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # gone, held by its writer, or on a file system without locks
        if handle is not None:
            os.close(handle)
        return None
    return handle


def _remove_left_behind(path: Path) -> None:
    """Remove the temporary folders of killed writers of `path`: those that no running process has locked."""
    pattern = re.compile(re.escape(f".{path.name}.") + "[a-z0-9_]{8}")
    folders = [entry.path for entry in os.scandir(path.parent) if pattern.fullmatch(entry.name) and entry.is_dir()]
    for folder in folders:
        if (lock := _locked(Path(folder))) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def write_json(value: dict, path: str | Path) -> None:
    """Write a JSON object, indented and with sorted keys, so that equal content has equal bytes."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table whose columns are all defined in `columns.COLUMNS`; their comments go into the schema."""
    table = pa.Table.from_pandas(frame, schema=table_schema(frame.columns), preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def table_schema(columns: Iterable[str]) -> pa.Schema:
    """Types and comments of some columns."""
    fields = [pa.field(name, COLUMNS[name].type, metadata={"comment": COLUMNS[name].comment}) for name in columns]
    return pa.schema(fields)


@contextmanager
def table_writer(path: str | Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a Parquet table piece by piece: yields a function that appends rows, so that memory holds only one piece.

    The first piece sets the columns, as in `write_table`; it may be empty. InputError where nothing was appended.
    """
    writer = None
    with atomic(path) as temporary:

        def append(frame: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(frame, schema=table_schema(frame.columns), preserve_index=False)
            writer = writer or pq.ParquetWriter(temporary, table_schema(frame.columns), compression="zstd")
            writer.write_table(table.replace_schema_metadata(None))

        try:
            yield append
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise InputError(f"{path}: nothing to write")


def join_tables(paths: Sequence[str | Path], path: str | Path) -> None:
    """Concatenate the rows of some tables into one, with one row group in memory at a time."""
    with table_writer(path) as append:
        for source in paths:
            try:
                with pq.ParquetFile(source) as file:
                    for group in range(file.num_row_groups):
                        append(file.read_row_group(group).to_pandas())
                    if not file.num_row_groups:
                        append(file.read().to_pandas())
            except (FileNotFoundError, pa.ArrowInvalid) as error:
                raise InputError(f"{source}: not a table ({error})") from None


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table (or some of its columns); InputError when it is not one or lacks a column."""
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, KeyError) as error:
        raise InputError(f"{path}: not a table with columns {columns or 'as expected'} ({error})") from None


def read_rows(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """`read_table` for results that must have rows; InputError where every prompt was left out."""
    table = read_table(path, columns)
    if table.empty:
        raise InputError(f"{path}: no rows; none of the prompts fits the model's context (`long_prompts: skip`)")
    return table


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a tidy table for people and plotting programs: nine significant digits, `\\n` line ends.

    A field is quoted only where necessary. `read_csv` returns every text unchanged. Raises ValueError for text in a
    column outside CSV_TEXT, which `read_csv` would read as numbers.
    """
    if text := [name for name in frame.columns.difference(CSV_TEXT) if len(_texts(frame[name]))]:
        raise ValueError(f"{path}: {', '.join(text)}: text, so to be named in discreteness.core.io.CSV_TEXT")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        frame.to_csv(_LineFeeds(file), index=False, float_format="%.9g", lineterminator="\r\n")


class _LineFeeds:
    """A file for `csv`'s rows that ends them with `\\n`, though `csv` ends them with `\\r\\n`.

    Python before 3.11.9 quotes a carriage return only where it is part of the line end; elsewhere it would split a row.
    """

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, row: str) -> int:
        """Write one row with its line end."""
        return self.file.write(row.removesuffix("\r\n") + "\n")


def read_csv(path: str | Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a tidy table: columns of CSV_TEXT as text, also `007`, `NA` or empty; others as numbers or Booleans, or NaN.

    columns: those that must exist. Raises InputError, one line, for a file that cannot be read, is no table or lacks
    one of these columns, and for text in one of them that holds numbers.
    """
    try:
        table = _parse_csv(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: empty, expected a table") from None
    except ValueError as error:  # bytes that are no UTF-8, rows that are too long, a quote left open
        raise InputError(f"{path}: not a CSV table ({' '.join(str(error).split())})") from None
    if missing := sorted(set(columns).difference(table.columns)):
        raise InputError(f"{path}: lacks the column(s) {', '.join(missing)}")
    for name in sorted(set(columns).difference(CSV_TEXT)):
        text = table[name][_texts(table[name])]
        if len(text):
            place = pd.to_numeric(text, errors="coerce").isna().idxmax()  # one text makes text of the whole column
            raise InputError(f"{path}: row {place + 1}: {name} = {text[place][:40]!r} (expected a number)")
    return table


def _parse_csv(content: bytes) -> pd.DataFrame:
    """The table of a CSV file's content; ValueError where it is not a table."""
    header = pd.read_csv(BytesIO(content), nrows=0).columns
    numbers = header.difference(CSV_TEXT)
    table = pd.read_csv(
        BytesIO(content),
        dtype=dict.fromkeys(header.intersection(CSV_TEXT), str),
        keep_default_na=False,
        na_values=dict.fromkeys(numbers, ["", "nan", "NaN"]),
        skip_blank_lines=len(header) > 1,  # in a single column, white space is a value
        low_memory=False,  # otherwise a long table's types are inferred piece by piece, and may differ
    )
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError("its rows have more fields than its header")
    # without rows pandas infers text, and concatenated with other tables it would turn their numbers into text
    return table.astype(dict.fromkeys(numbers, float)) if table.empty else table


def _texts(column: pd.Series) -> pd.Index:
    """Index of the rows where a column has text."""
    return column.index[column.map(lambda value: isinstance(value, str))]
