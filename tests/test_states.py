"""What a model is shown when nothing of an answer is known, and batches that have to shrink."""

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from discreteness.core.batching import run_halving
from discreteness.core.errors import InputError
from discreteness.denoisers.mock import MockDenoiser
from discreteness.probing.probe import prepare, probe
from discreteness.probing.states import blank
from test_probing import SPAN, WORDS, dataset, uniform


def mock(corruption, predict=uniform, **attributes):
    denoiser = MockDenoiser(WORDS, predict)
    denoiser.corruption = corruption
    for name, value in attributes.items():
        setattr(denoiser, name, value)
    return denoiser


def test_masks():
    assert blank(mock("mask"), [1, 2], 3, [5, 5, 5], 0, (0,)) == [1, 2, 9, 9, 9]


def test_a_prefix_model_reads_the_reference_answer():
    assert blank(mock("causal"), [1, 2], 3, [5, 6, 7], 0, (0,)) == [1, 2, 5, 6, 7]


def test_random_canvases_are_keyed_and_differ():
    denoiser = mock("uniform", canvas_length=200)
    draws = [blank(denoiser, [1, 2], 3, [], replicate, (0, "canvas", "a")) for replicate in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1] and all(draw[:2] == [1, 2] and len(draw) == 202 for draw in draws)
    assert set(draws[0][2:]) == set(range(10))
    assert blank(denoiser, [1, 2], 3, [], 0, (0, "canvas", "b")) != draws[0]
    with pytest.raises(InputError, match="probe.span = 201 exceeds the model's canvas of 200 tokens"):
        blank(denoiser, [1], 201, [], 0, (0,))


def test_probabilities_are_averaged_over_canvases():
    """A model that repeats the token it sees: averaged over R canvases, each seen token has probability 1/R."""

    def repeat(ids, queries):
        return 1000.0 * torch.nn.functional.one_hot(ids[queries[:, 0], queries[:, 1]], len(WORDS) + 2)

    denoiser = mock("uniform", repeat, canvases=64, canvas_length=6)
    rows = dataset(3)
    task = prepare(denoiser, rows, rows, SPAN, 3, seed=0)
    positions, tokens, _ = probe(denoiser, task, SPAN, 3, 10**6)
    shares = tokens["probability"].to_numpy() * 64
    assert np.allclose(shares, shares.round(), atol=1e-3)
    assert (positions["entropy"] > math.log(10) - 0.3).all() and (positions["entropy"] < math.log(10)).all()
    assert denoiser.calls == 64
    again = probe(denoiser, task, SPAN, 3, batch_tokens=1)[0]
    numbers = positions.select_dtypes("number").columns
    assert np.allclose(positions[numbers], again[numbers], atol=1e-5, equal_nan=True)


def test_context_counts_the_whole_canvas():
    denoiser = mock("uniform", canvas_length=10, context_length=10)
    with pytest.raises(InputError, match="1 tokens and a span of 10 exceed the model's context of 10"):
        prepare(denoiser, dataset(1), dataset(1), SPAN, 3, 0)


@given(st.integers(1, 40), st.integers(1, 12))
def test_a_batch_that_does_not_fit_is_halved(size, capacity):
    def run(batch):
        if len(batch) > capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [10 * index for index in batch]

    parts = list(run_halving(run, list(range(size))))
    assert [index for batch, _ in parts for index in batch] == list(range(size))
    assert all(result == [10 * index for index in batch] and len(batch) <= capacity for batch, result in parts)


def test_a_probe_survives_running_out_of_memory(caplog):
    """A device that holds three prompts at a time gives the numbers of one that holds all."""

    def small(ids, queries):
        if len(ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return uniform(ids, queries) + ids[queries[:, 0], 0][:, None] * torch.arange(10.0)

    def large(ids, queries):
        return uniform(ids, queries) + ids[queries[:, 0], 0][:, None] * torch.arange(10.0)

    rows = dataset(20)
    found = []
    for predict in (small, large):
        denoiser = mock("mask", predict)
        with caplog.at_level(logging.WARNING):
            found.append(probe(denoiser, prepare(denoiser, rows, rows, SPAN, 3, 0), SPAN, 3, 10**6))
    assert found[0][0].equals(found[1][0]) and found[0][1].equals(found[1][1])
    assert "out of memory with 20 sequences, going on with 10 at a time" in caplog.text


def test_one_sequence_that_does_not_fit():
    def never(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match="memory does not suffice for a single sequence"):
        list(run_halving(never, [0, 1]))
