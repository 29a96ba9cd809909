"""The one way to query a denoiser: padding, batches that shrink to the memory, errors that name the prompts."""

import logging
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discreteness.coherence.judge import generative_perplexity
from discreteness.coherence.rescoring import rescore
from discreteness.core import measures
from discreteness.core.errors import InputError
from discreteness.core.scoring import State, batches, forbid, log_probs, pad, query, run_batches
from discreteness.curves.estimate import collect, measured_curve
from discreteness.curves.estimate import prepare as prepare_curve
from discreteness.decoding import decode
from discreteness.probing.probe import prepare, probe
from mock_denoiser import MockDenoiser
from test_coherence import scrambled

WORDS = ["a", "b", "c", "d"]
EOS, MASK = 4, 5
SPAN = 4
ROWS = pd.DataFrame(
    {
        "prompt_id": [f"p{i}" for i in range(10)],
        "row": range(10),
        "prompt": [" ".join(WORDS[(i + j) % 4] for j in range(1 + i % 3)) for i in range(10)],
        "answer": [" ".join(WORDS[(i * j) % 4] for j in range(2 + i % 3)) for i in range(10)],
    }
)


def causal(denoiser):
    denoiser.corruption, denoiser.mask_id = "causal", None
    return denoiser


def probed(denoiser):
    positions, tokens, sums = probe(denoiser, prepare(denoiser, ROWS, ROWS, SPAN, 3, 0), SPAN, 3, 10**6)
    return [positions, tokens, sums.information()]


def curve(denoiser):
    references = prepare_curve(denoiser, ROWS, ROWS, SPAN, "padded")
    return [collect(measured_curve(denoiser, references, 0, 10**6), references)]


def rescored(denoiser):
    answers = ROWS[["prompt_id"]].assign(sample=0, steps=2, temperature=1.0)
    answers["token_ids"] = [[i % 4, (i + 1) % 4, i % 3, EOS] for i in range(10)]
    answers["revealed_at"] = [[0, 1, 0, 1]] * 10
    prompts = {row.prompt_id: denoiser.encode_prompt(row.prompt) for row in ROWS.itertuples()}
    return [rescore(denoiser, answers, prompts, 10**6, rescored=10, seed=0, recompute=True)]


def judged(denoiser):
    return [generative_perplexity(causal(denoiser), ROWS["prompt_id"], ROWS["prompt"], ROWS["answer"], 10**6)]


def decoded(denoiser):
    prompts = [denoiser.encode_prompt(prompt) for prompt in ROWS["prompt"]]
    policy = {"order": "low_confidence", "temperature": 1.0, "forbid": ["mask"]}
    answers = decode(denoiser, prompts, policy, span=SPAN, prompt_ids=list(ROWS["prompt_id"]))
    tables = (answers.token_ids, answers.revealed_at, answers.logprob_at_reveal)
    return [pd.DataFrame(table[:, 0].numpy()) for table in tables]


STAGES = [probed, curve, rescored, judged, decoded]


def small(rows):
    """A denoiser on a device that holds no more than `rows` sequences, and the sizes of the batches it got."""
    sizes = []

    def predict(ids, queries):
        sizes.append(len(ids))
        if len(ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return scrambled(ids, queries)

    return MockDenoiser(WORDS, predict), sizes


@pytest.mark.parametrize("stage", STAGES)
def test_a_small_device_gives_the_same_numbers(stage, caplog):
    """Whatever is measured: batches are halved, and what fitted bounds the batches that follow."""
    denoiser, sizes = small(3)
    with caplog.at_level(logging.WARNING):
        results = stage(denoiser)
    assert "out of memory with" in caplog.text and max(sizes) > 3
    for result, expected in zip(results, stage(MockDenoiser(WORDS, scrambled)), strict=True):
        pd.testing.assert_frame_equal(result, expected, check_exact=True)


@pytest.mark.parametrize("stage", STAGES)
def test_one_sequence_that_does_not_fit(stage):
    with pytest.raises(InputError, match="^the device's memory does not suffice for a single sequence$"):
        stage(small(0)[0])


@pytest.mark.parametrize("stage", STAGES)
def test_non_finite_logits_name_the_prompts(stage):
    def broken(ids, queries):
        logits = scrambled(ids, queries)
        logits[ids[queries[:, 0], 0] == 3] = math.nan  # of prompts that begin with d: p3 and p7
        return logits

    with pytest.raises(InputError, match=r"non-finite logits at row \d+, position \d+") as error:
        stage(MockDenoiser(WORDS, broken))
    assert "p3" in str(error.value) or "p7" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_probe_halves_also_what_is_computed_from_the_predictions(monkeypatch):
    entropy, sizes = measures.entropy, []

    def large(log_p):
        sizes.append(len(log_p))
        if len(log_p) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return entropy(log_p)

    expected = probed(MockDenoiser(WORDS, scrambled))
    monkeypatch.setattr(measures, "entropy", large)
    for result, whole in zip(probed(MockDenoiser(WORDS, scrambled)), expected, strict=True):
        pd.testing.assert_frame_equal(result, whole, check_exact=True)
    assert max(sizes) > 3


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    capacity=st.integers(9, 60),
    batch_tokens=st.integers(1, 400),
)
def test_batches_shrink_until_they_fit(lengths, capacity, batch_tokens):
    """Every sequence once, in batches of at most as many tokens as the device holds."""
    failed = []

    def run(batch):
        tokens = len(batch) * max(lengths[index] for index in batch)
        if tokens > capacity:
            failed.append(tokens)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [10 * index for index in batch]

    results = list(run_batches(run, lengths, batch_tokens, name="x", unit="x"))
    assert sorted(index for batch, _ in results for index in batch) == list(range(len(lengths)))
    assert all(result == [10 * index for index in batch] for batch, result in results)
    assert all(len(batch) * max(lengths[index] for index in batch) <= capacity for batch, _ in results)
    assert failed == sorted(set(failed), reverse=True)  # each try is smaller than those that failed


def test_what_fitted_is_remembered():
    """Of 64 sequences where 5 fit, 64, 32, 16 and 8 at a time are tried once; then all go by 4."""
    sizes = []

    def run(batch):
        sizes.append(len(batch))
        if len(batch) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    for _ in run_batches(run, [7] * 64, 10**6, name="x", unit="x"):
        pass
    assert sizes == [64, 32, 16, 8, *[4] * 16]


def test_without_sequences_nothing_is_run():
    assert list(run_batches(lambda batch: 1 / 0, [], 100, name="x", unit="x")) == []
    assert list(batches([], 100)) == []


def test_padding_by_hand():
    sequences = [np.array([1, 2, 3]), np.array([7])]
    ids, real = pad(sequences, 9)
    assert ids.tolist() == [[1, 2, 3], [7, 9, 9]] and real.tolist() == [[True] * 3, [True, False, False]]
    ids, real = pad(sequences, 9, left=True)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 7]] and real.tolist() == [[True] * 3, [False, False, True]]


def test_only_queried_positions_are_predicted():
    inputs = []

    def record(ids, queries):
        inputs.append((ids.tolist(), queries.tolist()))
        return torch.zeros(len(queries), 6)

    states = [State("p", np.array([0, MASK, MASK]), np.array([2])), State("q", np.array([MASK, 1]), np.array([0, 1]))]
    assert log_probs(MockDenoiser(WORDS, record), states).shape == (3, 6)
    assert inputs == [([[0, MASK, MASK], [MASK, 1, EOS]], [[0, 2], [1, 0], [1, 1]])]


def test_no_attention_mask_where_nothing_is_padded():
    masks = []

    class Recorder(MockDenoiser):
        def log_probs(self, token_ids, attention_mask, queries):
            masks.append(attention_mask)
            return super().log_probs(token_ids, attention_mask, queries)

    denoiser = Recorder(WORDS, scrambled)
    for sequences in ([[1, 2], [3, 0]], [[1, 2], [3]]):
        ids, real = pad([np.array(sequence) for sequence in sequences], EOS)
        query(denoiser, ids, real, torch.tensor([[0, 0]]), ["p", "q"])
    assert masks[0] is None and masks[1].tolist() == [[True, True], [True, False]]


def test_forbidden_tokens():
    log_p = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert forbid(log_p, []) is log_p
    assert forbid(log_p, [0]).exp()[0].tolist() == pytest.approx([0, 0.6, 0.4])
    assert forbid(log_p, [0, 1, 2]).isnan().all()
