"""Qwen3 turned into a masked diffusion model (dllm-hub's small checkpoints): Qwen3, bidirectional, not shifted."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from discreteness.denoisers.checkpoints import read_config, required, shape_settings
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone, without_prefix
from discreteness.errors import InputError

# What a Qwen3 model can express; any other value of these keys changes the arithmetic.
SUPPORTED = {
    "model_type": ("a2d-qwen3", "qwen3"),
    "hidden_act": ("silu",),
    "rope_scaling": (None,),
    "use_sliding_window": (False,),
    "attention_bias": (False,),
}


def load(row: dict, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a checkpoint folder. row: may override `context_length` and `mask_id`; `gpus` spreads the layers.

    The mask is the tokenizer's own, or the token `<|mask|>`.
    """
    config = read_config(folder, SUPPORTED)
    rotary = config.get("rope_parameters") or {}
    if rotary.get("rope_type", "default") != "default":
        raise InputError(
            f"{folder / 'config.json'}: rope_parameters.rope_type = {rotary['rope_type']!r} is not supported"
        )
    with required(folder / "config.json"):
        qwen3 = Qwen3Config(
            **shape_settings(config),
            head_dim=config["head_dim"],
            rope_parameters={"rope_type": "default", "rope_theta": rotary.get("rope_theta") or config["rope_theta"]},
            use_sliding_window=False,
        )
    backbone, head = build_backbone(Qwen3Model, qwen3, folder, without_prefix, dtype, device, row.get("gpus", 1))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    mask_id = row.get("mask_id", tokenizer.mask_token_id)
    if mask_id is None:
        mask_id = tokenizer.get_vocab().get("<|mask|>")
    if mask_id is None:
        raise InputError(f"{folder}: the tokenizer has no mask token; give the model's row a `mask_id`")
    ends = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.get_vocab().get("<|im_end|>"))
    return TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=ends,
        context_length=row.get("context_length", qwen3.max_position_embeddings),
    )
