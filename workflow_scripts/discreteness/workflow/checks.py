"""What is checked before anything runs."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from discreteness.core.errors import InputError
from discreteness.core.io import check_link, check_writable
from discreteness.decoding.rows import check_decoders
from discreteness.denoisers import check_device
from discreteness.workflow.configuration import Run
from discreteness.workflow.dates import check_dates
from discreteness.workflow.resources import has_gpu
from discreteness.workflow.sources import own_files
from discreteness.workflow.yaml_files import read_yaml


@contextmanager
def one_line() -> Iterator[None]:
    """End the process with status 1 and one line, the last it prints, on a user error."""
    try:
        yield
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def check_files(configfiles: Iterable[str]) -> None:
    """Raise InputError where Snakemake's records cannot be written, and for what it overlooks in configuration files.

    It has read them already, and takes the last of a key that is there twice.
    """
    check_writable(".snakemake")
    for path in configfiles:
        read_yaml(path)


def check_start(run: Run, on_cluster: bool) -> None:
    """Raise InputError for what would end a run later; print a note for each decoder that skips numbers of steps.

    on_cluster: whether jobs run on nodes, which may have another device.
    """
    for note in check_decoders(run.decoders, run.used_decoders()):
        sys.stderr.write(f"note: {note}\n")
    if run.settings.device not in ("auto", "cpu") and not on_cluster and not has_gpu():
        check_device(run.settings.device)
    check_link("results")
    check_dates(own_files(run))
