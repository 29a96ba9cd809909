"""Files' dates, by which Snakemake sees what is newer: those of the future refused, those of the past not relied on."""

import time
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path

from discreteness.core.errors import InputError
from discreteness.hub.checkpoint_folder import sha256

# Seconds that a file may be ahead of this machine's clock: clocks of a cluster differ a little
TOLERANCE = 10
# Bytes up to which files are compared by content, as the profile has Snakemake do
LARGE = 50_000_000


def check_dates(paths: Iterable[str | Path]) -> None:
    """Raise InputError, one line, for a file dated in the future: Snakemake would throw away what is made from it."""
    now = time.time()
    for path in map(Path, paths):
        if path.is_file() and (date := path.stat().st_mtime) > now + TOLERANCE:
            raise InputError(
                f"{path}: dated {datetime.fromtimestamp(date):%Y-%m-%d %H:%M:%S}, but this machine's clock says "
                f"{datetime.fromtimestamp(now):%Y-%m-%d %H:%M:%S}; set the clock right or run `touch` on the file"
            )


@cache
def content(path: str) -> str | list[int]:
    """What tells a file's content from another's whatever its date: SHA-256, or size and date where it is large."""
    if not Path(path).is_file():
        return "missing"
    status = Path(path).stat()
    return sha256(Path(path)) if status.st_size <= LARGE else [status.st_size, status.st_mtime_ns]
