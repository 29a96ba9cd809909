"""Dream (arXiv 2508.15487) and DiffuCoder (arXiv 2506.20639): Qwen2 made bidirectional, its logits shifted by one.

The checkpoints were continued from an autoregressive model: the prediction for position i is read at i − 1.
"""

from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2Model, Qwen2Tokenizer

from discreteness.denoisers.base import within_head
from discreteness.denoisers.checkpoints import (
    load_tokenizer,
    mask_id_of,
    read_config,
    required,
    rope_theta,
    shape_settings,
)
from discreteness.denoisers.rows import LoadingRow
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone, without_prefix

# What a Qwen2 model can express; any other value of these keys changes the arithmetic.
SUPPORTED = {
    "model_type": ("Dream", "dream"),
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "use_mrope": (False,),
}


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a Dream checkpoint folder. row: may override `context_length` and `mask_id`; `gpus` spreads the layers."""
    config, path = read_config(folder, SUPPORTED), folder / "config.json"
    mask_id = mask_id_of(row, config, path)
    with required(path):
        qwen2 = Qwen2Config(
            **shape_settings(config),
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta(config, path)},
            use_sliding_window=False,
        )
        end = config["eos_token_id"]
    backbone, head = build_backbone(Qwen2Model, qwen2, folder, without_prefix, dtype, device, row.gpus)
    tokenizer = load_tokenizer(folder, Qwen2Tokenizer)
    others = (config.get("pad_token_id"), tokenizer.get_vocab().get("<|im_end|>"))
    return TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=(end, *within_head(head.shape[0], *others)),
        context_length=row.context_length or qwen2.max_position_embeddings,
        shift=True,
    )
