"""What went wrong in a run, from the logs of its jobs, so that it can be said last."""

import re
from pathlib import Path

# What `jobs.job` writes for what the user can put right, and what Python writes of anything else
ERROR = re.compile(r"^\S+ \S+ error: (.+)$")
EXCEPTION = re.compile(r"^(\w[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*)$")
TAIL = 20_000  # bytes of a log that are read, from its end


def failures(folder: str | Path, since: float) -> dict[str, list[Path]]:
    """Error message -> logs it stands in, of the job logs written since a time (seconds since the epoch).

    folder: where the jobs' logs are. A log counts where its last line is an error: the one line of what a user can put
    right, or the last line of a traceback.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*.log")):
        if path.is_file() and path.stat().st_mtime >= since and (message := last_error(path)):
            found.setdefault(message, []).append(path)
    return found


def last_error(path: Path) -> str | None:
    """The error that a log ends with; None where it ends otherwise."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").rstrip().splitlines()
    match = (ERROR.match(lines[-1]) or EXCEPTION.match(lines[-1])) if lines else None
    return match[1] if match else None


def summary(found: dict[str, list[Path]]) -> str:
    """One line for each message, with the first log it stands in."""
    lines = []
    for message, logs in found.items():
        more = f" and {len(logs) - 1} more" if len(logs) > 1 else ""
        lines.append(f"error: {message} ({logs[0]}{more})\n")
    return "".join(lines)
