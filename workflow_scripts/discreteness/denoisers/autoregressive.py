"""Any causal language model of transformers: the baseline that reads a prefix, and the judge of generated text."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from discreteness.denoisers.auto import AutoDenoiser, context_length, load_model
from discreteness.denoisers.base import within_head
from discreteness.denoisers.checkpoints import load_tokenizer
from discreteness.denoisers.rows import LoadingRow


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> AutoDenoiser:
    """Load a checkpoint folder. row: may override `context_length`; `gpus` spreads the layers over several.

    A prediction for position i sees the tokens before i, whatever stands at i and after it.
    """
    model = load_model(AutoModelForCausalLM, row, folder, device, dtype)
    tokenizer = load_tokenizer(folder, AutoTokenizer)
    ends = (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.get_vocab().get("<|im_end|>"))
    return AutoDenoiser(
        model,
        tokenizer,
        corruption="causal",
        mask_id=None,
        eos_ids=within_head(model.get_output_embeddings().weight.shape[0], *ends),
        context_length=context_length(row, model, folder),
        shift=1,
    )
