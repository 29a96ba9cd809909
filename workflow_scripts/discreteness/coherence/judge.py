"""Generative perplexity: how probable answers are under an autoregressive model that did not write them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from discreteness.coherence.text import unigram_entropy
from discreteness.core.errors import InputError
from discreteness.core.scoring import ROWS_ARE_ANSWERS, State, score_tokens
from discreteness.datasets.prompts import log_long
from discreteness.denoisers.base import Denoiser

JUDGE_COLUMNS = ["judge_tokens", "judge_nll", "perplexity", "judge_entropy"]


def generative_perplexity(
    judge: Denoiser,
    prompt_ids: Sequence[str],
    prompts: Sequence[str],
    texts: Sequence[str],
    batch_tokens: int,
    long_prompts: str = "refuse",
) -> pd.DataFrame:
    """Perplexity of each answer's text after its prompt's text, both in the judge's own tokens.

    judge: a denoiser of `causal` corruption: a query at (row, position) gives log p(x_position | x_<position).
    prompt_ids, prompts, texts: one of each per answer.
    Returns one row per answer: judge_tokens (the answer's), judge_nll (their sum, nats), perplexity (exp of the mean
    per judge token) and judge_entropy (of the answer's judge tokens, nats): a low perplexity with a low entropy means
    repetition, not quality, so show both together.
    An answer most of whose tokens the judge does not know has an infinite nll and perplexity.
    An answer of nothing but white space has 0 tokens and NaN perplexity: count those apart. After a prompt without
    tokens, the answer's first token has no prefix and is not judged. long_prompts: how to treat a prompt that does not
    fit the judge's context together with its answer (see `fit_prompts`); an answer to a skipped one has 0 tokens.
    Raises InputError before any forward pass for another kind of model and for texts longer than its context, and as
    `scoring.score_tokens`.
    """
    if judge.corruption != "causal":
        raise InputError(f"judge: its corruption is {judge.corruption!r} (expected 'causal', an autoregressive model)")
    states, answers, rows, long = [], [], [], []
    for row, (prompt_id, prompt, text) in enumerate(zip(prompt_ids, prompts, texts, strict=True)):
        before = judge.encode_prompt(prompt)
        answer = np.array(judge.encode_answer(text) if text.strip() else [], dtype=np.int64)
        room = judge.context_length - len(answer)
        if len(before) > room:
            if long_prompts == "refuse" or (long_prompts == "truncate" and room < 1):
                raise InputError(
                    f"judge: prompt {prompt_id} and its answer have {len(before) + len(answer)} of the judge's tokens, "
                    f"more than its context of {judge.context_length}"
                )
            long.append(prompt_id)
            if long_prompts == "skip":
                continue
            before = before[-room:]
        queries = len(before) + np.arange(0 if before else 1, len(answer))
        if len(queries):
            states.append(State(prompt_id, np.concatenate([np.array(before, dtype=np.int64), answer]), queries))
            answers.append(answer)
            rows.append(row)
    log_long(list(dict.fromkeys(long)), len(set(prompt_ids)), judge.context_length, long_prompts)
    table = pd.DataFrame(np.nan, index=range(len(texts)), columns=JUDGE_COLUMNS)
    table[["judge_tokens", "judge_nll"]] = 0.0
    scores = score_tokens(
        judge,
        [len(state.token_ids) for state in states],
        lambda i: (states[i], states[i].token_ids[states[i].queries]),
        batch_tokens,
        name="judge",
        message=ROWS_ARE_ANSWERS,
    )
    unknown_id = getattr(judge.tokenizer, "unk_token_id", None)
    for batch, logprobs in scores:
        for i, values in zip(batch, logprobs, strict=True):
            mostly_unknown = (answers[i] == unknown_id).mean() > 0.5
            nll = np.inf if mostly_unknown else -values.astype(np.float64).sum()
            entropy = unigram_entropy(states[i].token_ids[states[i].queries].tolist())
            table.loc[rows[i]] = [len(values), nll, np.exp(nll / len(values)), entropy]
    return table.astype({"judge_tokens": int})
