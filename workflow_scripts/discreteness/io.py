"""Files: written whole or not at all, read with their columns checked."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from discreteness.columns import COLUMNS
from discreteness.errors import InputError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well and disappears when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results follow the user's umask like any other file
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise InputError(f"{path}: no disk space left; nothing was overwritten") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: dict, path: str | Path) -> None:
    """Write a JSON object, readable and with sorted keys, so that equal content has equal bytes."""
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
    """Write a Parquet table piece by piece: a function that appends rows, so that only a piece is held in memory.

    The first piece decides the columns, as in `write_table`; it may be empty. InputError where nothing was appended.
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
    """Write the rows of some tables below each other, one row group in memory at a time."""
    with table_writer(path) as append:
        for part in paths:
            try:
                with pq.ParquetFile(part) as file:
                    for group in range(file.num_row_groups):
                        append(file.read_row_group(group).to_pandas())
                    if not file.num_row_groups:
                        append(file.read().to_pandas())
            except (FileNotFoundError, pa.ArrowInvalid) as error:
                raise InputError(f"{part}: not a table ({error})") from None


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table (or some of its columns); InputError when it is not one or lacks a column."""
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, KeyError) as error:
        raise InputError(f"{path}: not a table with columns {columns or 'as expected'} ({error})") from None


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a tidy table for people and plotting programs: nine significant digits, `\\n` line ends."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")
