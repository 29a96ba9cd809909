"""Prompts in a model's tokens: those that fit its context, and what becomes of those that do not."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from discreteness.core.errors import InputError
from discreteness.denoisers.base import Denoiser

LISTED = 20  # names of prompts in a log line


def fit_prompts(
    denoiser: Denoiser, chosen: pd.DataFrame, lengths: int | Sequence[int], long_prompts: str
) -> tuple[pd.DataFrame, list[list[int]]]:
    """The chosen prompts' rows with their token ids, which fit the model's context together with what follows them.

    lengths: tokens that follow, of all prompts or of each. long_prompts: what becomes of a prompt that does not fit:
    `refuse` raises InputError; `skip` leaves its row out; `truncate` drops tokens from its left. Skipped and truncated
    prompts are counted and listed in the log. Raises InputError also for ids that the model's head does not have.
    """
    after = [lengths] * len(chosen) if isinstance(lengths, int) else list(lengths)
    encoded = [denoiser.encode_prompt(prompt) for prompt in chosen["prompt"]]
    kept, prompts, long = [], [], []
    for prompt_id, prompt, length in zip(chosen["prompt_id"], encoded, after, strict=True):
        if prompt and not 0 <= min(prompt) <= max(prompt) < denoiser.vocab_size:
            raise InputError(f"prompt {prompt_id}: holds token ids outside the model's {denoiser.vocab_size} tokens")
        if not prompt and denoiser.corruption == "causal":
            raise InputError(
                f"prompt {prompt_id}: has no tokens, and an autoregressive model without a start token predicts "
                "nothing at the first position"
            )
        room = denoiser.context_length - length
        fits = len(prompt) <= room
        if not fits and (long_prompts == "refuse" or (long_prompts == "truncate" and room < 1)):
            hint = "skip" if room < 1 else "skip` or `truncate"
            raise InputError(
                f"prompt {prompt_id}: {len(prompt)} tokens and a span of {length} exceed the model's context of "
                f"{denoiser.context_length} tokens (config: `long_prompts: {hint}` goes on without)"
            )
        if not fits:
            long.append(prompt_id)
        kept.append(fits or long_prompts == "truncate")
        if kept[-1]:
            prompts.append(prompt if fits else prompt[-room:])
    log_long(long, len(chosen), denoiser.context_length, long_prompts)
    return chosen[np.array(kept, dtype=bool)].reset_index(drop=True), prompts


def log_long(names: Sequence[str], total: int, context_length: int, long_prompts: str) -> None:
    """Say in the log how many of `total` prompts do not fit a context, which, and what has become of them."""
    if names:
        listed = ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
        done = "skipped" if long_prompts == "skip" else "truncated from the left"
        logging.getLogger("discreteness").warning(
            "%d of %d prompts do not fit the model's context of %d tokens and are %s: %s",
            *(len(names), total, context_length, done, listed),
        )
