"""Checks that need a slow import, made once for what they are about and not at every `snakemake` command."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from discreteness.io import atomic


def once(record: Path, about: object, check: Callable[[], None]) -> None:
    """Call `check` unless it has passed before for the same `about` (JSON), as `record` says; what it raises, raises.

    Only a check that passed is recorded; one record holds the last.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    if record.is_file() and record.read_text() == digest:
        return
    check()
    with atomic(record) as temporary:
        temporary.write_text(digest)
