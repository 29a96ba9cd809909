"""What every workflow script does around its one call: a log, clear errors, fixed thread counts, provenance."""

import logging
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import SimpleNamespace

from discreteness.core.errors import InputError
from discreteness.core.io import full_disk, write_json

LIBRARIES = (
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "pandas",
    "pyarrow",
    "snakemake",
)


@contextmanager
def job(log: str) -> Iterator[logging.Logger]:
    """Log to `log` and to standard error; end with status 1 and one line, no traceback, on an InputError or full disk.

    A log that cannot be written does not stop the work.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    try:
        os.makedirs(os.path.dirname(log) or ".", exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="w", encoding="utf-8"))
    except OSError as error:
        sys.stderr.write(f"{log}: cannot be written ({error.strerror})\n")
    logging.raiseExceptions = False  # a full disk would put a traceback behind every line
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True)
    logging.captureWarnings(True)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # what it leaves out of an embedded font
    logger = logging.getLogger("discreteness")
    try:
        yield logger
    except InputError as error:
        logger.error("error: %s", error)
        sys.exit(1)
    except Exception as error:
        if reason := full_disk(error):
            logger.error("error: %s (%s)", reason, " ".join(str(error).split()))
            sys.exit(1)
        logger.exception("failed")
        raise


def parameters(snakemake) -> SimpleNamespace:
    """The parameters of a script's rule, handed over as one (`prepare` in `rules/common/settings.smk`)."""
    return SimpleNamespace(**snakemake.params.settings)


def use_threads(threads: int) -> None:
    """Let torch compute with exactly this many threads: their number can move the last digits of a sum."""
    import torch

    torch.set_num_threads(threads)


def peak_memory(device) -> int:
    """Most memory this process has held, bytes: the GPU's where `device` is one, else resident memory."""
    import torch

    if device.type == "cuda":
        return sum(torch.cuda.max_memory_allocated(card) for card in range(torch.cuda.device_count()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def write_provenance(path: str, **facts: object) -> None:
    """Write where a result came from: the facts given, the libraries' versions and the machine's kind. No dates."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
    }
    write_json({**facts, "versions": versions, "machine": machine}, path)
