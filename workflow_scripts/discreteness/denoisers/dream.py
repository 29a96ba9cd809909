"""Dream (arXiv 2508.15487) and DiffuCoder (arXiv 2506.20639): Qwen2 made bidirectional, its logits shifted by one.

The checkpoints were continued from an autoregressive model: the prediction for position i is read at i − 1.
"""

from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2Model, Qwen2Tokenizer

from discreteness.denoisers.checkpoints import read_config, required, shape_settings
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone, without_prefix

# What a Qwen2 model can express; any other value of these keys changes the arithmetic.
SUPPORTED = {
    "model_type": ("Dream", "dream"),
    "hidden_act": ("silu",),
    "rope_scaling": (None,),
    "use_sliding_window": (False,),
    "use_mrope": (False,),
}


def load(row: dict, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a Dream checkpoint folder. row: may override `context_length` and `mask_id`; `gpus` spreads the layers."""
    config = read_config(folder, SUPPORTED)
    with required(folder / "config.json"):
        qwen2 = Qwen2Config(
            **shape_settings(config),
            rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
            use_sliding_window=False,
        )
        mask_id = row["mask_id"] if "mask_id" in row else config["mask_token_id"]
        end = config["eos_token_id"]
    backbone, head = build_backbone(Qwen2Model, qwen2, folder, without_prefix, dtype, device, row.get("gpus", 1))
    tokenizer = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True)
    return TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=(end, config.get("pad_token_id"), tokenizer.get_vocab().get("<|im_end|>")),
        context_length=row.get("context_length", qwen2.max_position_embeddings),
        shift=True,
    )
