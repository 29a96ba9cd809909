"""Denoisers around transformers' own model classes, whole: the output head sees the queried positions only."""

import copy
import logging
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from discreteness.denoisers.base import Denoiser, check_finite, distinct, special_tokens
from discreteness.denoisers.checkpoints import check_memory, one_line, read_config, read_shapes
from discreteness.errors import InputError

# Parts of a checkpoint that belong to other tasks than predicting tokens.
UNUSED = ("pooler", "seq_relationship", "position_ids", "rotary_emb.inv_freq", "attn.masked_bias")


def load_model(auto_class, row: dict, folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The model of a checkpoint folder in transformers' own class, every weight proven to come from the files.

    auto_class: `AutoModelForMaskedLM` and the like. row: `gpus` > 1 spreads the layers with accelerate.
    Raises InputError for a configuration that names code of its own, for pickled weights, for files that lie about
    their size, for an architecture transformers does not have and for missing, misshapen or superfluous tensors.
    """
    config = read_config(folder, {})
    if "auto_map" in config:
        raise InputError(f"{folder / 'config.json'}: auto_map names code of the checkpoint's own, which is never run")
    check_memory(folder, read_shapes(folder), dtype, device, row.get("gpus", 1))
    spread = row.get("gpus", 1) > 1
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)  # what it would report is refused below
    try:
        model, report = auto_class.from_pretrained(
            folder,
            dtype=dtype,
            device_map="auto" if spread else {"": device},
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise InputError(f"{folder}: {' '.join(str(error).split())[:300]}") from None
    finally:
        transformers_logging.set_verbosity(level)
    missing = set(report["missing_keys"])
    extra = {name for name in report["unexpected_keys"] if not any(part in name for part in UNUSED)}
    misshapen = {name for name, *_ in report["mismatched_keys"]}
    for names, what in (
        (missing, "the checkpoint lacks"),
        (extra, "tensors the architecture has no place for:"),
        (misshapen, "tensors of another shape than config.json says:"),
    ):
        if names:
            raise InputError(f"{folder}: {what} {one_line(names)}")
    return model.eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The folder's tokenizer; InputError when transformers cannot make it without running foreign code."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise InputError(f"{folder}: no usable tokenizer ({' '.join(str(error).split())[:200]})") from None


class AutoDenoiser(Denoiser):
    """A transformers model with a language-modelling head, its body in the weights' dtype, its head in float32.

    shift: 1 where the prediction for position i is read at i − 1 (autoregressive models).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        corruption: str,
        mask_id: int | None,
        eos_ids: tuple[int | None, ...],
        context_length: int,
        shift: int = 0,
    ):
        self.model = model
        self.body = model.base_model
        for name, part in model.named_children():
            if part is not self.body:
                setattr(model, name, copy.deepcopy(part).float())  # a copy: the weights may be tied to the embedding's
        self.body.register_forward_hook(self._gather)
        self.corruption = corruption
        self.tokenizer = tokenizer
        self.mask_id = mask_id
        self.eos_ids = distinct(eos_ids)
        self.vocab_size = model.get_output_embeddings().weight.shape[0]
        self.context_length = context_length
        self.shift = shift
        self.device = model.device
        self.special_ids = special_tokens(tokenizer, self.vocab_size, (*self.eos_ids, mask_id))
        self._queries = torch.zeros(0, 2, dtype=torch.int64)

    def _gather(self, _module, _arguments, output):
        """Keep the hidden states at the queries only, (1, Q, d) float32, before the head sees them."""
        rows, positions = self._queries.to(output.last_hidden_state.device).unbind(-1)
        output["last_hidden_state"] = output.last_hidden_state[rows, positions - self.shift][None].float()
        return output

    @torch.inference_mode()
    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`. Raises ValueError for position 0 of a model that predicts from what precedes."""
        if len(queries) and int(queries[:, 1].min()) < self.shift:
            raise ValueError("an autoregressive model predicts nothing at position 0")
        self._queries = queries
        mask = torch.ones_like(token_ids) if attention_mask is None else attention_mask.long()
        logits = self.model(input_ids=token_ids.to(self.device), attention_mask=mask.to(self.device)).logits[0]
        check_finite(logits, queries)
        return torch.log_softmax(logits.float(), -1)
