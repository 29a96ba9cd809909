"""Decoded answers as a table, and the reference answers as if they had been decoded."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from discreteness.coherence.answers import answer_length
from discreteness.decoding.loop import Decoded
from discreteness.denoisers.base import Denoiser

DECODED_COLUMNS = [
    *("prompt_id", "sample", "steps", "temperature", "text"),
    *("token_ids", "revealed_at", "logprob_at_reveal", "forward_passes"),
]


def answers_table(denoiser: Denoiser, prompt_ids: Sequence[str], decoded: Decoded, policy: Mapping) -> pd.DataFrame:
    """DECODED_COLUMNS, one row per answer of `decode`."""
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
    """The reference answers, cut to the span and padded with EOS, as if revealed one by one from left to right."""
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
    """The text before the first EOS, without special tokens."""
    special = set(denoiser.special_ids)
    end = answer_length(token_ids, denoiser.eos_ids)
    return denoiser.tokenizer.decode([id_ for id_ in token_ids[:end] if id_ not in special])
