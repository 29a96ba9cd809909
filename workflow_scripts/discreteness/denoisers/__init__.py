"""Model families, and how a model of one is loaded as a denoiser.

A family's module is imported when a model is loaded, torch with it.
"""

import json
import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from discreteness.core.errors import InputError
from discreteness.denoisers.families import CORRUPTIONS, FAMILIES, UNSUPPORTED, Family, family_of
from discreteness.denoisers.rows import LoadingRow

__all__ = [
    "CORRUPTIONS",
    "FAMILIES",
    "UNSUPPORTED",
    "Family",
    "LoadingRow",
    "check_device",
    "family_of",
    "load_denoiser",
    "load_model",
]


def load_denoiser(row: dict, device: str = "auto"):
    """The denoiser of a model row.

    row: like one of config/models.yaml; `LoadingRow` says which of its keys count, with their defaults. `path` is a
    checkpoint folder in the Hugging Face layout (`oracle` has none). With more than one of `gpus` the layers are spread
    over them; with 0 the model computes on a CPU, whatever `device` says.
    device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` (a GPU when there is one).
    Raises InputError with one line for an unknown family or dtype, a setting the family cannot express and every defect
    of the checkpoint.
    """
    import torch

    from discreteness.denoisers import gate

    row = LoadingRow.read(row, "")
    if not row.path and row.traits.checkpoint:
        raise InputError("path: the model row names no checkpoint folder")
    if row.gpus == 0:
        device = "cpu"
    elif device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    if device == "cpu":
        row = row.model_copy(update={"gpus": 1})  # its layers stay together
    folder = Path(row.path or ".").expanduser()
    place = torch.device(device), getattr(torch, row.dtype)
    module = import_module(f"discreteness.denoisers.{row.family}")
    if not row.traits.checkpoint:
        return module.load(row, folder, *place)
    import_module("discreteness.denoisers.checkpoints").check_folder(folder, row.family)
    try:
        denoiser = module.load(row, folder, *place)
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a class makes of settings of a wrong type or size
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: cannot be loaded as config.json says ({type(error).__name__}: {reason})") from None
    gate.check(denoiser, folder)
    for note in denoiser.notes:
        logging.getLogger("discreteness").info("%s: %s", folder.name, note)
    return denoiser


def load_model(record: str | Path, row: Mapping, config: Mapping):
    """The denoiser of a model folder of this workflow, on the device that the run's configuration says.

    record: the folder's provenance.json. row: the model's row without what says where jobs run. config: `device`, and
    `gpus` by model's name. Raises InputError as `load_denoiser`, naming the model.
    """
    folder = Path(record).parent
    gpus = {"gpus": config["gpus"][folder.name]} if folder.name in config.get("gpus", {}) else {}
    try:
        return load_denoiser({**row, **gpus, "path": folder}, config["device"])
    except InputError as error:
        source = json.loads(Path(record).read_text()).get("source") or str(folder)
        raise InputError(f"model {folder.name}: {str(error).replace(str(folder), source)}") from None


def check_device(device: str) -> None:
    """Raise InputError for a device that this machine does not have."""
    import torch

    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"device: {device!r} is unknown (expected auto, cpu, cuda, cuda:N or mps)") from None
    count = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise InputError(f"device: {device}: this machine has no such GPU (PyTorch finds {count or 'none'})")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device: mps: this machine has no Apple GPU that PyTorch can use")
