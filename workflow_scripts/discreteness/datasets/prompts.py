"""Which prompts a job works on: a seeded draw from a data set, a shard of it, those that fit a model's context."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.denoisers.base import Denoiser, check_context, check_ids

LISTED = 20  # names of prompts in a log line


def select_prompts(rows: pd.DataFrame, prompts: int, example: int, seed: int) -> pd.DataFrame:
    """The example row and `prompts` − 1 others (or all there are), drawn by key; in the order of the source."""
    if example not in set(rows["row"]):
        raise InputError(f"config: probe.example = {example} is not a row of the data set (it has {len(rows)} rows)")
    order = sorted(
        rows.index,
        key=lambda i: (rows.at[i, "row"] != example, key(seed, "prompts", rows.at[i, "prompt_id"])),
    )
    return rows.loc[sorted(order[:prompts])].reset_index(drop=True)


def take_shard(chosen: pd.DataFrame, shard: Mapping[str, int] | None) -> pd.DataFrame:
    """The chosen prompts of a shard, {number, size}; all of them where there is none."""
    if shard is None:
        return chosen
    start = shard["number"] * shard["size"]
    return chosen.iloc[start : start + shard["size"]].reset_index(drop=True)


def answers_of_shard(answers: pd.DataFrame, shard: Mapping[str, int] | None) -> pd.DataFrame:
    """The decoded answers to the prompts of a shard; see `take_shard`."""
    if shard is None:
        return answers
    shard_prompts = take_shard(answers[["prompt_id"]].drop_duplicates(), shard)["prompt_id"]
    return answers[answers["prompt_id"].isin(shard_prompts)].reset_index(drop=True)


def fit_prompts(
    denoiser: Denoiser, chosen: pd.DataFrame, lengths: int | Sequence[int], long_prompts: str
) -> tuple[pd.DataFrame, list[list[int]]]:
    """The chosen prompts' rows with their token ids, which fit the model's context together with what follows them.

    lengths: number of tokens that follow, one for all prompts or one per prompt. long_prompts: how to treat a prompt
    that does not fit: `refuse` raises InputError; `skip` leaves its row out; `truncate` drops tokens from its left.
    Skipped and truncated prompts are counted and listed in the log. Raises InputError also for token ids outside the
    model's vocabulary and for an empty prompt of an autoregressive model.
    """
    after = [lengths] * len(chosen) if isinstance(lengths, int) else list(lengths)
    encoded = [denoiser.encode_prompt(prompt) for prompt in chosen["prompt"]]
    is_used, prompts, long = [], [], []
    for prompt_id, prompt, length in zip(chosen["prompt_id"], encoded, after, strict=True):
        check_ids(denoiser, f"prompt {prompt_id}", prompt)
        if not prompt and denoiser.corruption == "causal":
            raise InputError(
                f"prompt {prompt_id}: has no tokens, and an autoregressive model without a start token predicts "
                "nothing at the first position"
            )
        room = denoiser.context_length - length
        fits = len(prompt) <= room
        if not fits and (long_prompts == "refuse" or (long_prompts == "truncate" and room < 1)):
            hint = f" (config: `long_prompts: {'skip' if room < 1 else 'skip` or `truncate'}` goes on without)"
            check_context(denoiser, f"prompt {prompt_id}", prompt, length, hint)
        if not fits:
            long.append(prompt_id)
        is_used.append(fits or long_prompts == "truncate")
        if is_used[-1]:
            prompts.append(prompt if fits else prompt[-room:])
    log_long(long, len(chosen), denoiser.context_length, long_prompts)
    return chosen[np.array(is_used, dtype=bool)].reset_index(drop=True), prompts


def log_long(names: Sequence[str], total: int, context_length: int, long_prompts: str) -> None:
    """Log how many of `total` prompts do not fit a context, their names, and whether they are skipped or truncated."""
    if names:
        listed = ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
        treatment = "skipped" if long_prompts == "skip" else "truncated from the left"
        logging.getLogger("discreteness").warning(
            "%d of %d prompts do not fit the model's context of %d tokens and are %s: %s",
            *(len(names), total, context_length, treatment, listed),
        )
