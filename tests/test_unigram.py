"""Unigram distributions, which do not see the prompt."""

import numpy as np
import pytest

from discreteness.core.unigram import pad_answers, positional_logprobs, unigram


def test_padding_and_cutting():
    assert pad_answers([[5], [1, 2, 3, 4]], 3, 9).tolist() == [[5, 9, 9], [1, 2, 3]]


def test_unigram_is_add_one_smoothed():
    assert unigram(np.array([[0, 0], [1, 0]]), 3).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_a_constant_position_becomes_certain_and_a_scattered_one_falls_back_to_the_unigram():
    generator = np.random.default_rng(0)
    n = 2000
    tokens = np.stack([np.zeros(n, int), generator.integers(0, 100, n)], 1)
    logprobs = positional_logprobs(tokens, 100)
    assert logprobs[:, 0].mean() > -0.01
    assert -logprobs[:, 1].mean() == pytest.approx(np.log(100), abs=0.12)


def test_own_answer_is_left_out():
    # every answer is unique: an estimate that counted the answer itself would look informed
    tokens = np.arange(50)[:, None]
    assert (positional_logprobs(tokens, 50) <= np.log(1 / 49)).all()
