"""What each kind of corruption and each model family is, readable without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from discreteness.core.errors import InputError


@dataclass(frozen=True)
class Corruption:
    """A kind of state that a model denoises.

    masks: what is unknown is a mask token, so that answers can be decoded from masks, curves measured and tokens scored
    again by masking them. reads_answer: the state is a prefix of the reference answer, in which nothing is unknown.
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
    """A model family, loaded by the module of its name.

    corruption: name of one of CORRUPTIONS. about: which checkpoints, for the documentation. keys: keys of a model's row
    that only some families have. checkpoint: False where models are computed, not loaded. architectures: what
    config.json's `architectures` says of this family's checkpoints and no other's (empty: whatever transformers has a
    class for). accepts: what it may say besides.
    """

    corruption: str
    about: str
    keys: tuple[str, ...] = ()
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
    "llada": Family("mask", "LLaDA, iLLaDA", ("mask_id",), architectures=("LLaDAModelLM", "ILLaDAForCausalLM")),
    "dream": Family("mask", "Dream, DiffuCoder", ("mask_id",), architectures=("DreamModel", "DreamForCausalLM")),
    "diffusion_gemma": Family(
        "uniform",
        "DiffusionGemma",
        ("canvases", "self_conditioning"),
        architectures=("DiffusionGemmaForBlockDiffusion",),
    ),
    "masked_lm": Family("mask", "any AutoModelForMaskedLM", ("mask_id",)),
    "qwen3_diffusion": Family(
        "mask",
        "dllm-hub's Qwen3",
        ("mask_id",),
        architectures=("A2DQwen3LMHeadModel",),
        accepts=("Qwen3ForCausalLM",),
    ),
    "autoregressive": Family("causal", "any AutoModelForCausalLM"),
    "oracle": Family("mask", "exact, of a known language", ("language",), checkpoint=False),
}
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
