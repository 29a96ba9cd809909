"""Information kept by masks, random tokens and noise: by hand, by enumeration, by quadrature."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discreteness.core.errors import InputError
from discreteness.curves.corruption import (
    KINDS,
    MEASURES,
    information_kept,
    information_smooth,
    kept_by_masking,
    mismatch,
)
from discreteness.curves.price import convex
from discreteness.languages import get_language
from discreteness.languages.language import Language, exact_curve

TOY, GRAMMAR = get_language("toy"), get_language("grammar")
NOISE = np.linspace(0, 1, 6)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One thread of torch: on small matrices more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def z_scores(kept, expected):
    error = kept.std(0, ddof=1) / math.sqrt(len(kept))
    return (kept.mean(0) - expected) / np.maximum(error, 1e-12)


def test_masking_the_toy_by_hand():
    """Any visible token gives the sentence away: all is kept unless all three are masked."""
    f = exact_curve(TOY)
    for kept in kept_by_masking(f, NOISE).values():
        assert kept == pytest.approx(1 - NOISE**3, abs=1e-6)
    drawn = information_kept(TOY, "mask", NOISE, sentences=2000)
    for measure in MEASURES:
        assert set(np.unique(drawn[measure].round(9))) == {0, 1}
        assert np.abs(z_scores(drawn[measure], 1 - NOISE**3)[1:-1]).max() < 3.5


def test_masking_the_grammar_agrees_with_its_curve():
    drawn = information_kept(GRAMMAR, "mask", NOISE[1:-1], sentences=128)
    expected = kept_by_masking(exact_curve(GRAMMAR), NOISE[1:-1])
    for measure in MEASURES:
        assert np.abs(z_scores(drawn[measure], expected[measure])).max() < 3.5


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("t", [0.3, 0.8])
def test_random_tokens_by_enumerating_every_corrupted_string(t, measure):
    language = Language.from_sentences("made up", {"a a": 0.5, "a b": 0.2, "b b": 0.3})
    size = language.mask_id  # a, b and EOS
    left = 0.0
    for z in itertools.product(range(size), repeat=2):
        joint = np.array(
            [
                p * np.prod([(1 - t) * (seen == id_) + t / size for seen, id_ in zip(z, ids, strict=True)])
                for ids, p in zip(language.token_ids, language.probabilities, strict=True)
            ]
        )
        posterior = joint / joint.sum()
        parts = [posterior]
        if measure == "tokens":
            parts = [np.bincount(column, posterior, minlength=size) for column in language.token_ids.T]
        left += joint.sum() * sum(-(p[p > 0] * np.log(p[p > 0])).sum() for p in parts)
    parts = [language.probabilities]
    if measure == "tokens":
        parts = [np.array([0.7, 0.3]), np.array([0.5, 0.5])]
    expected = 1 - left / sum(-(p * np.log(p)).sum() for p in parts)
    kept = information_kept(language, "uniform", [t], sentences=4000)[measure]
    assert abs(z_scores(kept, expected)[0]) < 3.5


@pytest.mark.parametrize("t", [0.2, 0.5, 0.9])
def test_gaussian_noise_by_quadrature(t):
    """Two one-hot embeddings, one token: a binary input with additive noise, one number in effect.

    The log-odds of the true token are normal with mean m = |e_a − e_b|² (1 − t) / 2t = (1 − t) / t and variance 2m.
    """
    language = Language.from_sentences("coin", {"a": 0.5, "b": 0.5})
    mean = (1 - t) / t
    x = np.linspace(-12, 12, 20001)
    odds = mean + math.sqrt(2 * mean) * x
    lost = np.trapezoid(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * np.logaddexp(0, -odds), x)
    kept = information_kept(language, "gaussian", [t], sentences=4000)
    assert abs(z_scores(kept["tokens"], 1 - lost / math.log(2))[0]) < 3.5
    assert kept["tokens"] == pytest.approx(kept["sentence"])


def test_longer_embeddings_are_told_apart_in_more_noise():
    noise = [0.5, 0.9]
    near, far = (
        information_kept(TOY, "gaussian", noise, 200, embeddings=scale * np.eye(TOY.mask_id))["tokens"].mean(0)
        for scale in (1, 3)
    )
    assert (far > near + 0.05).all()
    same = information_kept(TOY, "gaussian", noise, 20, embeddings=np.ones((TOY.mask_id, 4)))["tokens"]
    assert same == pytest.approx(0, abs=1e-9)  # embeddings that are all alike say nothing


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_kept_without_noise_and_nothing_at_full_noise(kind):
    for kept in information_kept(GRAMMAR, kind, [0, 1], sentences=3).values():
        assert kept == pytest.approx(np.array([[1, 0]] * 3), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_depend_on_the_sentence_only(kind, monkeypatch):
    whole = information_kept(TOY, kind, [0.4], sentences=20)
    monkeypatch.setattr("discreteness.curves.corruption._CHUNK", 7)
    few = information_kept(TOY, kind, [0.2, 0.4], sentences=10)
    for measure in MEASURES:
        assert few[measure][:, 1] == pytest.approx(whole[measure][:10, 0], abs=1e-12)


def test_mismatch_by_hand():
    noise = np.linspace(0, 1, 1001)
    assert mismatch(noise, 1 - noise) == pytest.approx(0, abs=1e-12)
    assert mismatch(noise, 1 - noise**3) == pytest.approx(1 / 4, abs=1e-5)  # 1/2 − 1/4
    assert mismatch(noise, np.stack([np.ones(1001), np.zeros(1001)])) == pytest.approx([0.5, 0.5])


def test_schedule_of_a_known_curve():
    noise, s = np.linspace(0, 1, 2001), np.linspace(0, 1, 11)
    assert information_smooth(noise, 1 - noise**3, s) == pytest.approx(s ** (1 / 3), abs=2e-3)
    assert information_smooth(noise, 1 - noise, s) == pytest.approx(s)


@pytest.mark.parametrize("kind", KINDS)
def test_information_falls_linearly_under_its_schedule(kind):
    """The schedule measured on some sentences, checked on others; nominal noise is far from linear on the same."""
    noise, s = np.linspace(0, 1, 41), np.linspace(0, 1, 9)
    language = Language.from_sentences("made up", {"a b a b": 0.4, "b b a a": 0.3, "a a a b": 0.2, "b a b b": 0.1})
    measured = information_kept(language, kind, noise, sentences=3000)["sentence"].mean(0)
    times = information_smooth(noise, measured, s)
    assert (np.diff(times) > 0).all()
    kept = information_kept(language, kind, times, sentences=3000, seed=1)["sentence"].mean(0)
    assert np.abs(kept - (1 - s)).max() < 0.03
    assert np.abs(measured - (1 - noise)).max() > 0.06


def test_schedule_of_a_curve_that_does_not_fall_everywhere():
    noise, kept = [0, 0.25, 0.5, 0.75, 1], [1.0, 0.4, 0.6, 0.5, 0.0]
    times = information_smooth(noise, kept, [0, 0.25, 0.5, 0.75, 1])
    assert times[[0, 1, 2, 4]] == pytest.approx([0, 0.125, 0.25, 1])
    assert (np.diff(times) > 0).all()


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_convex_falls_ever_more_slowly_keeps_the_mean_and_what_is_convex(values):
    fitted = convex(np.array(values))
    assert (np.diff(fitted) <= 1e-9).all() and (np.diff(fitted, 2) >= -1e-9).all()
    assert fitted.mean() == pytest.approx(np.mean(values), abs=1e-9)
    assert convex(fitted) == pytest.approx(fitted, abs=1e-9)


def test_refused():
    with pytest.raises(InputError, match="corruption: 'blur' is unknown"):
        information_kept(TOY, "blur")
    with pytest.raises(InputError, match="noise from 0.5 to 1.5"):
        information_kept(TOY, "mask", [0.5, 1.5])
