"""Information measures against closed forms, then properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from discreteness.core.measures import (
    entropy,
    jensen_shannon,
    kl,
    prompt_information,
    renormalise_without,
)


def log(*p):
    return torch.tensor(p, dtype=torch.float64).log()


distributions = st.lists(st.floats(0.001, 1), min_size=4, max_size=4).map(
    lambda weights: log(*[weight / sum(weights) for weight in weights])
)


def test_uniform():
    assert entropy(log(0.25, 0.25, 0.25, 0.25)).item() == pytest.approx(math.log(4))


def test_delta_has_no_entropy_and_no_nan():
    assert entropy(log(1.0, 0.0, 0.0)).item() == 0
    assert kl(log(1.0, 0.0), log(0.5, 0.5)).item() == pytest.approx(math.log(2))
    assert kl(log(0.5, 0.5), log(1.0, 0.0)).item() == math.inf


def test_hand_made():
    p, q = log(0.5, 0.25, 0.25), log(0.25, 0.5, 0.25)
    assert entropy(p).item() == pytest.approx(1.5 * math.log(2))
    assert kl(p, q).item() == pytest.approx(0.25 * math.log(2))
    middle = entropy(log(0.375, 0.375, 0.25)).item()
    assert jensen_shannon(p, q).item() == pytest.approx(middle - 1.5 * math.log(2))


def test_disjoint_distributions_are_ln_2_apart():
    assert jensen_shannon(log(1.0, 0.0), log(0.0, 1.0)).item() == pytest.approx(math.log(2))


def test_renormalising_keeps_proportions():
    remaining = renormalise_without(log(0.5, 0.3, 0.2), torch.tensor([True, False, False])).exp()
    assert remaining.tolist() == pytest.approx([0, 0.6, 0.4])
    assert entropy(remaining.log()).item() == pytest.approx(-0.6 * math.log(0.6) - 0.4 * math.log(0.4))


@given(distributions, distributions)
def test_divergences(p, q):
    assert kl(p, q) >= 0
    assert kl(p, p).item() == pytest.approx(0, abs=1e-12)
    assert 0 <= jensen_shannon(p, q) <= math.log(2) + 1e-12
    assert jensen_shannon(p, q).item() == pytest.approx(jensen_shannon(q, p).item(), abs=1e-12)


@given(st.lists(distributions, min_size=1, max_size=6))
def test_prompt_information_is_the_mean_kl_from_the_mean(rows):
    log_p = torch.stack(rows)
    expected = kl(log_p, log_p.exp().mean(0).log()).mean().item()
    result = prompt_information(log_p.exp().sum(0), entropy(log_p).sum(0), len(rows)).item()
    assert result == pytest.approx(expected, abs=1e-10)
    assert result <= math.log(len(rows)) + 1e-10
