"""Decoded answers as a table, the reference answers as if they had been decoded, and what a row is decoded with."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from discreteness.coherence.answers import answer_length
from discreteness.decoding.loop import Decoded
from discreteness.decoding.policies import POLICIES
from discreteness.decoding.rows import check_policy
from discreteness.denoisers.base import Denoiser
from discreteness.languages import get_language
from discreteness.step_sizes import optimal_steps

DECODED_COLUMNS = [
    *("prompt_id", "sample", "steps", "temperature", "text"),
    *("token_ids", "revealed_at", "logprob_at_reveal", "forward_passes"),
]


def variants(
    row: Mapping, steps: Sequence[int], temperatures: Sequence[float] = (), curve: np.ndarray | None = None
) -> list[dict]:
    """The policies that a decoder's row stands for: one for each number of steps and each temperature.

    curve: the information curve f(0 … L − 1) that `step_sizes: optimal` is worked out from.

    steps: for rows that name neither `steps` nor `step_sizes`; a policy with a number of its own takes the largest, as
    a bound. temperatures: instead of the row's, where any are given.
    """
    if row.get("step_sizes") == "optimal":
        with_steps = [{**row, "step_sizes": optimal_steps(curve, min(count, len(curve)))} for count in steps]
    elif "steps" in row or "step_sizes" in row:
        with_steps = [dict(row)]
    elif row.get("order") in POLICIES and POLICIES[row["order"]].schedule == "finish":
        with_steps = [{**row, "steps": max(steps)}]
    else:
        with_steps = [{**row, "steps": count} for count in steps]
    values = temperatures or [row.get("temperature", 0.0)]
    return [{**one, "temperature": value} for one in with_steps for value in values]


def answers_table(denoiser: Denoiser, prompt_ids: Sequence[str], decoded: Decoded, policy: Mapping) -> pd.DataFrame:
    """DECODED_COLUMNS, one row for each answer of `decode`."""
    rows = []
    for p, prompt_id in enumerate(prompt_ids):
        for sample in range(decoded.token_ids.shape[1]):
            ids = decoded.token_ids[p, sample].tolist()
            rows.append(
                {
                    "prompt_id": prompt_id,
                    "sample": sample,
                    "steps": policy["steps"] if "steps" in policy else len(policy["step_sizes"]),
                    "temperature": policy["temperature"],
                    "text": answer_text(denoiser, ids),
                    "token_ids": ids,
                    "revealed_at": decoded.revealed_at[p, sample].tolist(),
                    "logprob_at_reveal": decoded.logprob_at_reveal[p, sample].tolist(),
                    "forward_passes": int(decoded.forward_passes[p, sample]),
                }
            )
    return pd.DataFrame(rows, columns=DECODED_COLUMNS)


def references_table(denoiser: Denoiser, chosen: pd.DataFrame, span: int) -> pd.DataFrame:
    """The reference answers, cut to the span and padded with end tokens, as if written one by one, left to right."""
    rows = []
    for prompt_id, answer in zip(chosen["prompt_id"], chosen["answer"], strict=True):
        ids = (denoiser.encode_answer(answer) + [denoiser.eos_ids[0]] * span)[:span]
        rows.append(
            {
                "prompt_id": prompt_id,
                "sample": 0,
                "steps": span,
                "temperature": np.nan,
                "text": answer_text(denoiser, ids),
                "token_ids": ids,
                "revealed_at": list(range(span)),
                "logprob_at_reveal": [np.nan] * span,
                "forward_passes": 0,
            }
        )
    return pd.DataFrame(rows, columns=DECODED_COLUMNS)


def answer_text(denoiser: Denoiser, token_ids: Sequence[int]) -> str:
    """The text before the first end token, without special tokens."""
    special = set(denoiser.special_ids)
    end = answer_length(token_ids, denoiser.eos_ids)
    return denoiser.tokenizer.decode([id_ for id_ in token_ids[:end] if id_ not in special])


def check_decoders(rows: Mapping[str, Mapping], decode: Mapping, language: Mapping, datasets: Mapping) -> None:
    """Raise InputError for a decoder's row that does not fit the steps and spans it is asked for.

    decode, language: these parts of the configuration. datasets: the chosen rows.
    """
    for name in decode["decoders"]:
        flat = np.ones(decode["span"])  # stands for the curve that is measured later
        for policy in variants(rows[name], decode["steps"], curve=flat):
            check_policy(name, policy, decode["span"])
    if language["models"]:
        row = datasets[language["dataset"]]
        span = get_language(row.get("language", row["kind"])).length
        for name in language["decoders"]:
            for policy in variants(rows[name], language["steps"], language["temperatures"], np.ones(span)):
                check_policy(name, policy, span)
