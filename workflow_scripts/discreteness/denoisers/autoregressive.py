"""Any causal language model of transformers: the baseline that reads a prefix, and the judge of generated text."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from discreteness.denoisers.auto import AutoDenoiser, load_model, load_tokenizer


def load(row: dict, folder: Path, device: torch.device, dtype: torch.dtype) -> AutoDenoiser:
    """Load a checkpoint folder. row: may override `context_length`; `gpus` spreads the layers over several.

    A prediction for position i sees the tokens before i, whatever stands at i and after it.
    """
    model = load_model(AutoModelForCausalLM, row, folder, device, dtype)
    tokenizer = load_tokenizer(folder)
    return AutoDenoiser(
        model,
        tokenizer,
        corruption="causal",
        mask_id=None,
        eos_ids=(tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.get_vocab().get("<|im_end|>")),
        context_length=row.get("context_length", model.config.max_position_embeddings),
        shift=1,
    )
