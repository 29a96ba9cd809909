"""Denoisers around transformers' own model classes, whole: the output head sees the queried positions only."""

import copy
import logging
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from discreteness.core.errors import InputError
from discreteness.denoisers.base import Denoiser, check_finite, distinct, special_tokens
from discreteness.denoisers.checkpoints import check_memory, one_line, read_config, read_shapes
from discreteness.denoisers.rows import LoadingRow

# Parts of a checkpoint that belong to other tasks than predicting tokens.
UNUSED = ("pooler", "seq_relationship", "position_ids", "rotary_emb.inv_freq", "attn.masked_bias")


def load_model(auto_class, row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The model of a checkpoint folder in transformers' own class, every weight proven to come from the files.

    auto_class: `AutoModelForMaskedLM` and the like. row: `gpus` > 1 spreads the layers with accelerate. The kind of
    attention is transformers' choice for this machine (PyTorch's own), whatever config.json asks for.
    Raises InputError for a configuration that names code of its own, for pickled weights, for files that lie about
    their size, for an architecture transformers does not have and for missing, misshapen or superfluous tensors.
    """
    config = read_config(folder, {})
    if "auto_map" in config:
        raise InputError(f"{folder / 'config.json'}: auto_map names code of the checkpoint's own, which is never run")
    check_memory(folder, read_shapes(folder), dtype, device, row.gpus)
    spread = row.gpus > 1
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)  # what it would report is refused below
    settings = {
        "dtype": dtype,
        "device_map": "auto" if spread else {"": device},
        "trust_remote_code": False,
        "local_files_only": True,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # refused below, by name
    }
    try:
        own = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        for part in [own, *(getattr(own, name) for name in getattr(own, "sub_configs", {}))]:
            if part is not None:
                part._attn_implementation = None
        model, report = auto_class.from_pretrained(folder, config=own, **settings)
    except (ValueError, KeyError, OSError, RuntimeError, ImportError, AttributeError, TypeError) as error:
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


# What configurations call the longest sequence
_LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx")


def context_length(row: LoadingRow, model: PreTrainedModel, folder: Path) -> int:
    """Longest sequence in tokens: what the model's row says, else config.json, less what its position table lacks.

    RoBERTa and its kind number positions from one behind the padding token's id, so that the first rows of their table
    are never used. Raises InputError where nothing says how long a sequence may be (Bloom, Mamba).
    """
    rows = [
        part.num_embeddings - (getattr(part, "offset", 0) if part.padding_idx is None else part.padding_idx + 1)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Embedding) and name.endswith(("position_embeddings", "embed_positions", ".wpe"))
    ]
    given = row.context_length
    if given is not None:
        if rows and given > min(rows):
            raise InputError(f"context_length: {given} is more than the {min(rows)} positions that {folder} has")
        return given
    stated = [getattr(model.config, name, None) for name in _LENGTHS]
    lengths = [length for length in stated if isinstance(length, int) and length > 0]
    if not lengths:
        raise InputError(f"{folder / 'config.json'}: says no context length; give the model's row a `context_length`")
    return min(lengths[:1] + rows)


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
        if model.get_output_embeddings() is None or self.body is model:
            raise InputError(f"{type(model).__name__}: has no body and output head of its own, which predictions need")
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
        self._queries: torch.Tensor | None = None  # all positions
        self._gathered = False

    def _gather(self, _module, _arguments, output):
        """Keep the hidden states at the queries only, (1, Q, d) float32, before the head sees them."""
        if self._queries is None:
            output["last_hidden_state"] = output.last_hidden_state.float()
            return output
        self._gathered = True
        rows, positions = self._queries.to(output.last_hidden_state.device).unbind(-1)
        output["last_hidden_state"] = output.last_hidden_state[rows, positions - self.shift][None].float()
        return output

    @torch.inference_mode()
    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`. Raises ValueError for position 0 of a model that predicts from what precedes."""
        if len(queries) and int(queries[:, 1].min()) < self.shift:
            raise ValueError("an autoregressive model predicts nothing at position 0")
        self._queries, self._gathered = queries, False
        mask = torch.ones_like(token_ids) if attention_mask is None else attention_mask.long()
        logits = self.model(input_ids=token_ids.to(self.device), attention_mask=mask.to(self.device)).logits
        if self._gathered:
            logits = logits[0]
        else:  # a class that reaches its body in another way has computed every position (B, L, V)
            rows, positions = queries.to(logits.device).unbind(-1)
            logits = logits[rows, positions - self.shift]
        check_finite(logits, queries)
        return torch.log_softmax(logits.float(), -1)

    @torch.inference_mode()
    def plain_log_probs(self, token_ids):
        """See `Denoiser.plain_log_probs`: the model's class called as a whole."""
        self._queries = None
        ids = token_ids.to(self.device)
        logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits  # (B, L, V)
        return torch.log_softmax(logits.float(), -1).roll(self.shift, 1)
