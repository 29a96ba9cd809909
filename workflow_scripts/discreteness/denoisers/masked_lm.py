"""Any masked language model of transformers (BERT, ModernBERT and chat models made of them) as a mask denoiser."""

from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from discreteness.core.errors import InputError
from discreteness.denoisers.auto import AutoDenoiser, context_length, load_model
from discreteness.denoisers.base import within_head
from discreteness.denoisers.checkpoints import load_tokenizer
from discreteness.denoisers.rows import LoadingRow


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> AutoDenoiser:
    """Load a checkpoint folder. row: may override `context_length` and `mask_id`; `gpus` spreads the layers.

    The end of an answer is the tokenizer's end-of-sequence or separator token.
    """
    model = load_model(AutoModelForMaskedLM, row, folder, device, dtype)
    tokenizer = load_tokenizer(folder, AutoTokenizer)
    mask_id = row.mask_id if row.mask_id is not None else tokenizer.mask_token_id
    if mask_id is None:
        raise InputError(f"{folder}: the tokenizer has no mask token; give the model's row a `mask_id`")
    ends = (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return AutoDenoiser(
        model,
        tokenizer,
        corruption="mask",
        mask_id=mask_id,
        eos_ids=within_head(model.get_output_embeddings().weight.shape[0], *ends),
        context_length=context_length(row, model, folder),
    )
