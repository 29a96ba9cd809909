"""Files are written whole or not at all."""

import errno
import re
from pathlib import Path

import pytest

from discreteness.columns import COLUMNS
from discreteness.errors import InputError
from discreteness.io import atomic, write_json


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json({"old": 1}, target)
    with pytest.raises(ValueError), atomic(target) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert target.read_text() == '{\n "old": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no disk space left"), atomic(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_every_column_is_documented_beside_the_results():
    text = (Path(__file__).parents[1] / "results" / "README.md").read_text()
    section = text.split("## Columns of the Parquet tables", 1)[1].split("\n## ", 1)[0]
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|$", section, re.M))
    assert listed == {name: column.comment for name, column in COLUMNS.items()}
