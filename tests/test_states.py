"""The corrupted sequence that a model is shown when no token of an answer is known."""

import math

import numpy as np
import pytest
import torch

from discreteness.core.errors import InputError
from discreteness.probing.probe import prepare, probe
from discreteness.probing.states import fully_corrupted_state
from mock_denoiser import MockDenoiser
from test_probing import SPAN, WORDS, dataset, uniform


def mock(corruption, predict=uniform, **attributes):
    denoiser = MockDenoiser(WORDS, predict)
    denoiser.corruption = corruption
    for name, value in attributes.items():
        setattr(denoiser, name, value)
    return denoiser


def state(denoiser, prompt, answer, replicate=0, prompt_id="a"):
    return fully_corrupted_state(
        denoiser, prompt_id=prompt_id, prompt=prompt, answer=answer, seed=0, replicate=replicate
    )


def test_masks():
    masked = state(mock("mask"), [1, 2], [5, 5, 5])
    assert masked.token_ids.tolist() == [1, 2, 9, 9, 9] and masked.queries.tolist() == [2, 3, 4]
    assert masked.prompt_id == "a"


def test_a_prefix_model_reads_the_reference_answer():
    prefix = state(mock("causal"), [1, 2], [5, 6, 7])
    assert prefix.token_ids.tolist() == [1, 2, 5, 6, 7] and prefix.queries.tolist() == [2, 3, 4]


def test_random_canvases_are_keyed_and_differ():
    denoiser = mock("uniform", canvas_length=200)
    draws = [state(denoiser, [1, 2], [5, 5, 5], replicate).token_ids.tolist() for replicate in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1] and all(draw[:2] == [1, 2] and len(draw) == 202 for draw in draws)
    assert set(draws[0][2:]) == set(range(10))
    assert state(denoiser, [1, 2], [5, 5, 5]).queries.tolist() == [2, 3, 4]
    assert state(denoiser, [1, 2], [5, 5, 5], prompt_id="b").token_ids.tolist() != draws[0]
    with pytest.raises(InputError, match="probe.span = 201 exceeds the model's canvas of 200 tokens"):
        state(denoiser, [1], [5] * 201)


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
