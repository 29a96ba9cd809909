"""Files are written whole or not at all."""

import errno

import pytest

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
