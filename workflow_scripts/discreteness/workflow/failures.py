"""What went wrong in a run, from the logs of its jobs, so that it can be said last."""

import re
from pathlib import Path

# What `jobs.job` writes for a user error, and what Python writes of anything else
ERROR = re.compile(r"^\S+ \S+ error: (.+)$")
EXCEPTION = re.compile(r"^\w[\w.]*(?:Error|Exception|Interrupt|Exit)\b")
TAIL = 20_000  # bytes of a log that are read, from its end


def failures(folder: str | Path, since: float) -> dict[str, list[Path]]:
    """Error message -> logs it stands in, of the job logs written since a time (seconds since the epoch).

    folder: where the jobs' logs are. A log counts where it ends in an error: the one line of a user error,
    or a traceback, of which the line that names the exception is taken.
    """
    logs_of: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*.log")):
        if path.is_file() and path.stat().st_mtime >= since and (message := last_error(path)):
            logs_of.setdefault(message, []).append(path)
    return logs_of


def last_error(path: Path) -> str | None:
    """The error that a log ends with; None where it ends otherwise."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").rstrip().splitlines()
    if not lines:
        return None
    if match := ERROR.match(lines[-1]):
        return match[1]
    begins = [place for place, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    named = [line for line in lines[begins[-1] :] if EXCEPTION.match(line)] if begins else []
    return named[0] if named else None


def summary(logs_of: dict[str, list[Path]], log: str) -> str:
    """One line for each message, with the first log it stands in; where there is none, what Snakemake's own log is.

    A job that was killed, or ran past its time or memory, says nothing itself.
    """
    lines = []
    for message, logs in logs_of.items():
        more = f" and {len(logs) - 1} more" if len(logs) > 1 else ""
        lines.append(f"error: {message} ({logs[0]}{more})\n")
    return "".join(lines) or f"error: a job ended without saying why, so that it may have been killed (see {log})\n"
