"""Model families, what each is, and how a model of one is loaded as a denoiser.

What a family or a corruption is stands here, readable without importing torch; its module is imported when a model is
loaded.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from discreteness.core.errors import InputError


@dataclass(frozen=True)
class Corruption:
    """A kind of state that a model denoises.

    masks: what is unknown is a mask token, so that answers can be decoded from masks, curves measured and tokens scored
    again by hiding them. reads_answer: the state is a prefix of the reference answer, in which nothing is unknown.
    """

    masks: bool = False
    reads_answer: bool = False


CORRUPTIONS = {
    "mask": Corruption(masks=True),
    "uniform": Corruption(),
    "gaussian": Corruption(),
    "causal": Corruption(reads_answer=True),
}


@dataclass(frozen=True)
class Family:
    """A model family.

    corruption: name of one of CORRUPTIONS. settings: keys of a model's row that only some families have, with their
    defaults (None: from the checkpoint). checkpoint: False where models are computed, not loaded. architectures: what
    config.json's `architectures` says of this family's checkpoints and no other's (empty: whatever transformers has a
    class for). accepts: what it may say besides.
    """

    corruption: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: bool = True
    architectures: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()

    @property
    def masks(self) -> bool:
        """Whether answers are decoded from masks (see `Corruption.masks`)."""
        return CORRUPTIONS[self.corruption].masks

    @property
    def reads_answer(self) -> bool:
        """Whether a model is shown the reference answer (see `Corruption.reads_answer`)."""
        return CORRUPTIONS[self.corruption].reads_answer


FAMILIES = {
    "llada": Family("mask", {"mask_id": None}, architectures=("LLaDAModelLM", "ILLaDAForCausalLM")),
    "dream": Family("mask", {"mask_id": None}, architectures=("DreamModel", "DreamForCausalLM")),
    "diffusion_gemma": Family(
        "uniform",
        {"canvases": 8, "self_conditioning": False},
        architectures=("DiffusionGemmaForBlockDiffusion",),
    ),
    "masked_lm": Family("mask", {"mask_id": None}),
    "qwen3_diffusion": Family(
        "mask", {"mask_id": None}, architectures=("A2DQwen3LMHeadModel",), accepts=("Qwen3ForCausalLM",)
    ),
    "autoregressive": Family("causal"),
    "oracle": Family("mask", {"language": None}, checkpoint=False),
}
DTYPES = ("float32", "bfloat16")
# `architectures` of models that no family here can compute, with what they are
UNSUPPORTED = {
    "LLaDAMoEModelLM": "LLaDA-MoE, a mixture of experts",
    "LLaDAMoEModel": "LLaDA-MoE, a mixture of experts",
    "LLaDA2MoeModelLM": "LLaDA2, a mixture of experts with block diffusion",
    "LLaDA2MoeModel": "LLaDA2, a mixture of experts with block diffusion",
    "SDARForCausalLM": "SDAR, a block-diffusion model",
    "SDARModel": "SDAR, a block-diffusion model",
    "SDARMoeForCausalLM": "SDAR-MoE, a mixture of experts with block diffusion",
}


def family_of(row: Mapping) -> Family:
    """The family of a model's row; InputError for one that does not exist."""
    if row.get("family") not in FAMILIES:
        raise InputError(f"family: {row.get('family')!r} is unknown (expected {' or '.join(FAMILIES)})")
    return FAMILIES[row["family"]]


def setting(row: Mapping, key: str) -> Any:
    """A setting that only some families have: what the row says, else the family's default."""
    value = row.get(key)
    return family_of(row).settings[key] if value is None else value


def check_family(row: Mapping) -> None:
    """Raise InputError for a setting of a model's row that its family cannot express."""
    family = family_of(row)
    for key in sorted({key for other in FAMILIES.values() for key in other.settings} - family.settings.keys()):
        if key in row:
            able = " or ".join(name for name, other in FAMILIES.items() if key in other.settings)
            raise InputError(f"{key}: family {row['family']} has no such setting (only {able})")


def load_denoiser(row: dict, device: str = "auto"):
    """The denoiser of a model row.

    row: `family` (one of FAMILIES), `path` (a checkpoint folder in the Hugging Face layout), optionally `dtype`
    (float32 or bfloat16; the output head and the softmax are float32 either way), `context_length`, `gpus` (more than
    one: the layers are spread over them; 0: a CPU, whatever `device` says), and what FAMILIES lists for the family
    (`oracle` has no `path`).
    device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` (a GPU when there is one).
    Raises InputError with one line for an unknown family or dtype, a setting the family cannot express and every defect
    of the checkpoint.
    """
    import torch

    family, dtype = family_of(row), row.get("dtype", "float32")
    check_family(row)
    if dtype not in DTYPES:
        raise InputError(f"dtype: {dtype!r} is unknown (expected {' or '.join(DTYPES)})")
    if not row.get("path") and family.checkpoint:
        raise InputError("path: the model row names no checkpoint folder")
    if row.get("gpus") == 0:
        device = "cpu"
    elif device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    if device == "cpu":
        row = {**row, "gpus": 1}  # its layers stay together
    folder = Path(row.get("path") or ".").expanduser()
    module = import_module(f"discreteness.denoisers.{row['family']}")
    if not family.checkpoint:
        return module.load(row, folder, torch.device(device), getattr(torch, dtype))
    from discreteness.denoisers import gate

    import_module("discreteness.denoisers.checkpoints").check_folder(folder, row["family"])
    try:
        denoiser = module.load(row, folder, torch.device(device), getattr(torch, dtype))
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
