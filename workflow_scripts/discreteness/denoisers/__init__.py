"""Load any supported model as a denoiser. One module per model family, imported only when asked for."""

from importlib import import_module
from pathlib import Path

from discreteness.errors import InputError

# Each family with the settings of a model's row that only some families can express.
FAMILIES = {
    "llada": {"mask_id"},
    "dream": {"mask_id"},
    "diffusion_gemma": {"canvases", "self_conditioning"},
    "masked_lm": {"mask_id"},
    "qwen3_diffusion": {"mask_id"},
    "autoregressive": set(),
    "oracle": {"language"},
}
WITHOUT_CHECKPOINT = ("oracle",)  # families that are computed, not loaded
DTYPES = ("float32", "bfloat16")


def check_family(row: dict) -> None:
    """Raise InputError for a setting of a model's row that its family cannot express."""
    for key in sorted(set.union(*FAMILIES.values()) - FAMILIES[row["family"]]):
        if key in row:
            able = " or ".join(family for family, keys in FAMILIES.items() if key in keys)
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

    family, dtype = row.get("family"), row.get("dtype", "float32")
    if family not in FAMILIES:
        raise InputError(f"family: {family!r} is unknown (expected {' or '.join(FAMILIES)})")
    check_family(row)
    if dtype not in DTYPES:
        raise InputError(f"dtype: {dtype!r} is unknown (expected {' or '.join(DTYPES)})")
    if not row.get("path") and family not in WITHOUT_CHECKPOINT:
        raise InputError("path: the model row names no checkpoint folder")
    if row.get("gpus") == 0:
        device = "cpu"
    elif device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    module = import_module(f"discreteness.denoisers.{family}")
    return module.load(row, Path(row.get("path") or "."), torch.device(device), getattr(torch, dtype))
