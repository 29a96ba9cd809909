"""What every command line shares: errors in one line, and a quiet end when its reader or its user has enough."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from discreteness.core.errors import InputError

# As a shell reports processes that SIGPIPE and SIGINT have ended
BROKEN_PIPE, INTERRUPTED = 128 + 13, 128 + 2


@contextmanager
def entry_point() -> Iterator[None]:
    """Around the main function of a process: `@entry_point()`.

    An InputError, or a file that cannot be read or written, ends it with status 1 and `error: …` in one line on
    standard error; a reader of the output that has gone (`| head -1`) with BROKEN_PIPE, Ctrl-C with INTERRUPTED, both
    without a word.
    """
    with suppress(AttributeError):  # no standard output, or one that is not a text file
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal cannot show
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where an error can be dealt with, rather than when Python ends
    except BrokenPipeError:
        _drop_output()
        sys.exit(BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except InputError as error:
        sys.exit(_line(str(error)))
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_line(f"{where}{error.strerror or error}"))


def _line(message: str) -> str:
    return f"error: {' '.join(message.split())}"


def _drop_output() -> None:
    """Let what is still to be written go nowhere: Python writes it when it ends, and would complain again."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def count(text: str) -> int:
    """An option's value as a whole number of 1 or more."""
    with suppress(ValueError):
        if (value := int(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} (expected a whole number of 1 or more)")


def amount(text: str) -> float:
    """An option's value as a finite number above 0."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} (expected a number above 0)")
