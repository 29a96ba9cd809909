"""Qwen3 turned into a masked diffusion model (dllm-hub's small checkpoints): Qwen3, bidirectional, not shifted."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from discreteness.core.errors import InputError
from discreteness.denoisers.base import within_head
from discreteness.denoisers.checkpoints import load_tokenizer, read_config, required, rope_theta, shape_settings
from discreteness.denoisers.rows import LoadingRow
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone, without_prefix

# What a Qwen3 model can express; any other value of these keys changes the arithmetic.
SUPPORTED = {
    "model_type": ("a2d-qwen3", "qwen3"),
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "attention_bias": (False,),
}

# dllm-hub saves its block-diffusion models (bd3lm) with the same configuration as these (mdlm)
ASSUMED = "taken for a bidirectional model (mdlm): its files do not say whether it was trained for blocks (bd3lm)"


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a checkpoint folder. row: may override `context_length` and `mask_id`; `gpus` spreads the layers.

    The mask is the tokenizer's own, or the token `<|mask|>`.
    """
    config, path = read_config(folder, SUPPORTED), folder / "config.json"
    with required(path):
        qwen3 = Qwen3Config(
            **shape_settings(config),
            head_dim=config["head_dim"],
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta(config, path)},
            use_sliding_window=False,
        )
    backbone, head = build_backbone(Qwen3Model, qwen3, folder, without_prefix, dtype, device, row.gpus)
    tokenizer = load_tokenizer(folder, PreTrainedTokenizerFast)
    named = (row.mask_id, tokenizer.mask_token_id, tokenizer.get_vocab().get("<|mask|>"))
    mask_id = next((id_ for id_ in named if id_ is not None), None)
    if mask_id is None:
        raise InputError(f"{folder}: the tokenizer has no mask token; give the model's row a `mask_id`")
    ends = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.get_vocab().get("<|im_end|>"))
    denoiser = TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=within_head(head.shape[0], *ends),
        context_length=row.context_length or qwen3.max_position_embeddings,
    )
    denoiser.notes = (ASSUMED,)
    return denoiser
