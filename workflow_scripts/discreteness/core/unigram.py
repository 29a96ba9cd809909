"""Unigram distributions: predictions of an answer's tokens that do not depend on the prompt."""

import numpy as np


def pad_answers(answers: list[list[int]], span: int, eos_id: int) -> np.ndarray:
    """Answers as one (n, span) int64 array: cut at `span`, filled up with EOS."""
    padded = np.full((len(answers), span), eos_id, dtype=np.int64)
    for row, answer in zip(padded, answers, strict=True):
        row[: len(answer)] = answer[:span]
    return padded


def unigram(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Add-one smoothed frequency of every token, (…) int -> (V,) float64, sums to 1."""
    counts = np.bincount(np.asarray(tokens, dtype=np.int64).ravel(), minlength=vocab_size) + 1.0
    return counts / counts.sum()


_STRENGTHS = 2.0 ** np.arange(0, 15)


def positional_logprobs(padded: np.ndarray, vocab_size: int) -> np.ndarray:
    """Log-probability of every answer token under the positional unigram of the *other* answers, (n, span) in nats.

    q_i(x) = (c_i(x) + a u(x)) / (n − 1 + a) with c_i the count of x at position i in the other answers and u the
    add-one smoothed unigram of all positions. The strength a is the power of two that makes the answers most
    probable: usable information is measured against the best baseline of this form.
    Smallest n: 2; a single answer has no others, and its values are NaN.
    """
    n, span = padded.shape
    if n < 2:
        return np.full((n, span), np.nan)
    overall = unigram(padded, vocab_size)[padded]  # (n, span)
    counts = np.empty((n, span))
    for i in range(span):
        _, inverse, count = np.unique(padded[:, i], return_inverse=True, return_counts=True)
        counts[:, i] = count[inverse] - 1
    best = None
    for a in _STRENGTHS:
        logprobs = np.log((counts + a * overall) / (n - 1 + a))
        if best is None or logprobs.sum() > best.sum():
            best = logprobs
    return best
