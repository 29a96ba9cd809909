"""Generative perplexity: how probable answers are to an autoregressive model that did not write them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from discreteness.coherence.rescoring import State, score
from discreteness.coherence.text import unigram_entropy
from discreteness.core.errors import InputError
from discreteness.datasets.prompts import log_long
from discreteness.denoisers.base import Denoiser

JUDGE_COLUMNS = ["judge_tokens", "judge_nll", "perplexity", "judge_entropy"]


def generative_perplexity(
    judge: Denoiser, prompts: Sequence[str], texts: Sequence[str], batch_tokens: int, long_prompts: str = "refuse"
) -> pd.DataFrame:
    """Perplexity of each answer's text behind its prompt's text, both in the judge's own tokens.

    judge: a denoiser of `causal` corruption: a query at (row, position) gives log p(x_position | x_<position).
    Returns one row per text: judge_tokens (the answer's), judge_nll (their sum, nats), perplexity (exp of the mean per
    judge token) and judge_entropy (of the answer's judge tokens, nats): a low perplexity with a low entropy is
    repetition, not quality, so neither is to be shown without the other.
    An answer most of whose tokens the judge does not know has an infinite nll and perplexity.
    An answer of nothing but white space has 0 tokens and NaN perplexity: count those apart. Behind a prompt without
    tokens, the answer's first token has no prefix and is not judged. long_prompts: what becomes of a prompt that does
    not fit the judge's context together with its answer (see `fit_prompts`); an answer to a skipped one has 0 tokens.
    Raises InputError before any forward pass for another kind of model and for texts longer than its context.
    """
    if judge.corruption != "causal":
        raise InputError(f"judge: its corruption is {judge.corruption!r} (expected 'causal', an autoregressive model)")
    states, judged, long = [], [], []
    for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        before = judge.encode_prompt(prompt)
        answer = np.array(judge.encode_answer(text) if text.strip() else [], dtype=np.int64)
        room = judge.context_length - len(answer)
        if len(before) > room and (long_prompts == "skip" or (long_prompts == "truncate" and room > 0)):
            long.append(f"answer {index}")
            if long_prompts == "skip":
                continue
            before = before[-room:]
        if len(before) > room:
            raise InputError(
                f"judge: answer {index} and its prompt have {len(before) + len(answer)} of the judge's tokens, more "
                f"than its context of {judge.context_length}"
            )
        queries = np.arange(0 if before else 1, len(answer))
        if len(queries):
            judged.append(index)
            states.append(State(str(index), before, answer, np.zeros(len(answer), dtype=bool), queries))
    log_long(long, len(texts), judge.context_length, long_prompts)
    table = pd.DataFrame(np.nan, index=range(len(texts)), columns=JUDGE_COLUMNS)
    table[["judge_tokens", "judge_nll"]] = 0.0
    scores = score(judge, states, batch_tokens, "judge")
    for index, state, logprobs in zip(judged, states, scores, strict=True):
        unknown = (state.token_ids == getattr(judge.tokenizer, "unk_token_id", None)).mean()
        nll = np.inf if unknown > 0.5 else -logprobs.sum()
        entropy = unigram_entropy(state.token_ids[state.queries].tolist())
        table.loc[index] = [len(logprobs), nll, np.exp(nll / len(logprobs)), entropy]
    return table.astype({"judge_tokens": int})
