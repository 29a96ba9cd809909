"""DiffusionGemma: a causal encoder of the prompt and a bidirectional canvas of random tokens that is denoised at once.

transformers' own class. Corruption is uniform: a token that is not known is any token of the vocabulary, so what a
single pass knows is the average over many random canvases.
"""

from pathlib import Path

import torch
from transformers import AutoTokenizer, DiffusionGemmaForBlockDiffusion

from discreteness.core.errors import InputError
from discreteness.denoisers.auto import load_model
from discreteness.denoisers.base import Denoiser, check_finite, distinct, special_tokens
from discreteness.denoisers.checkpoints import load_tokenizer, read_config
from discreteness.denoisers.rows import LoadingRow
from discreteness.hub.checkpoint_folder import read_json


class DiffusionGemmaDenoiser(Denoiser):
    """The last `canvas_length` real tokens of a row are the canvas, everything before them is the prompt.

    self_conditioning: predict twice, the second time shown the first prediction, as the model's sampler does from its
    second step on.
    """

    def __init__(self, model, tokenizer, *, eos_ids, context_length: int, canvases: int, self_conditioning: bool):
        text = model.config.text_config
        self.corruption = "uniform"
        self.model = model.model
        self.head = model.lm_head.weight.detach().float()
        self.softcap = text.final_logit_softcapping
        self.tokenizer = tokenizer
        self.mask_id = None
        self.eos_ids = distinct(eos_ids)
        self.vocab_size = text.vocab_size
        self.context_length = context_length
        self.canvas_length = model.config.canvas_length
        self.canvases = canvases
        self.self_conditioning = self_conditioning
        self.device = model.device
        self.special_ids = special_tokens(tokenizer, self.vocab_size, self.eos_ids)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Soft-capped logits (…, V) float32 of hidden states (…, d)."""
        return self.softcap * torch.tanh(hidden.float().to(self.head.device) @ self.head.T / self.softcap)

    @torch.inference_mode()
    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`. Raises ValueError for a row without prompt or a query outside the canvas."""
        real = torch.ones_like(token_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        first, length = real.int().argmax(1), real.sum(1)
        start = first + length - self.canvas_length  # (B,) where the canvas begins
        inside = queries[:, 1] - start[queries[:, 0]]
        if (length <= self.canvas_length).any() or (inside < 0).any() or (inside >= self.canvas_length).any():
            raise ValueError(
                f"expected a prompt and a canvas of {self.canvas_length} tokens, and queries in the canvas"
            )
        log_p = torch.empty(len(queries), self.vocab_size, device=self.head.device)
        for size in length.unique().tolist():  # rows of one length together, so that nothing is padded
            rows = (length == size).nonzero()[:, 0]
            tokens = torch.stack([token_ids[row, first[row] : first[row] + size] for row in rows])
            of_size = torch.isin(queries[:, 0], rows)
            place = torch.searchsorted(rows, queries[of_size, 0])
            log_p[of_size.to(log_p.device)] = self._denoise(tokens, place, inside[of_size], queries[of_size])
        return log_p

    def _denoise(self, tokens, rows, positions, queries) -> torch.Tensor:
        """Log-probabilities (Q, V) for rows (B, prompt + canvas) of one length at (rows, positions in the canvas)."""
        prompts, canvas = tokens.to(self.device).split([tokens.shape[1] - self.canvas_length, self.canvas_length], 1)
        distinct_prompts, which = prompts.unique(dim=0, return_inverse=True)
        cache = self.model.encoder(input_ids=distinct_prompts, use_cache=True).past_key_values
        cache.batch_select_indices(which)
        decode = self.model.decoder
        hidden = decode(decoder_input_ids=canvas, past_key_values=cache).last_hidden_state
        if self.self_conditioning:
            logits = self._logits(hidden)
            hidden = decode(
                decoder_input_ids=canvas, past_key_values=cache, self_conditioning_logits=logits
            ).last_hidden_state
        logits = self._logits(hidden[rows.to(hidden.device), positions.to(hidden.device)])
        check_finite(logits, queries)
        return torch.log_softmax(logits, -1)


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> DiffusionGemmaDenoiser:
    """Load a checkpoint folder. row: `canvases` (how many random ones are averaged), `self_conditioning` (default
    false), `context_length`; `gpus` spreads the layers over several."""
    read_config(folder, {"model_type": ("diffusion_gemma",)})
    model = load_model(DiffusionGemmaForBlockDiffusion, row, folder, device, dtype)
    text = model.config.text_config
    generation = folder / "generation_config.json"
    eos_ids = distinct([text.eos_token_id, read_json(generation).get("eos_token_id") if generation.is_file() else None])
    if not eos_ids:
        raise InputError(f"{folder / 'config.json'}: key 'text_config.eos_token_id' is missing")
    return DiffusionGemmaDenoiser(
        model,
        load_tokenizer(folder, AutoTokenizer),
        eos_ids=eos_ids,
        context_length=row.context_length or text.max_position_embeddings,
        canvases=row.canvases,
        self_conditioning=row.self_conditioning,
    )
