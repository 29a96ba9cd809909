"""Step sizes: the cheapest ones against all others, the samplers' own, and what they cost on a known language."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discreteness.core.errors import InputError
from discreteness.core.schedules import SCHEDULES, cosine, dream, llada, uniform
from discreteness.curves import price
from discreteness.curves.step_sizes import expected_kl, li_cai_bound, optimal_steps
from discreteness.languages import get_language
from discreteness.languages.language import Language, exact_curve, subset_entropies

CURVE = exact_curve(get_language("grammar"))


def compositions(length, steps):
    for cuts in itertools.combinations(range(1, length), steps - 1):
        yield np.diff([0, *cuts, length]).tolist()


# ---- the cheapest steps


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(-3, 9), min_size=1, max_size=9), st.data())
def test_optimal_steps_cost_least_of_all_on_any_curve(f, data):
    steps = data.draw(st.integers(1, len(f)))
    sizes = optimal_steps(f, steps)
    assert len(sizes) == steps and all(isinstance(size, int) for size in sizes)
    least = min(expected_kl(f, other) for other in compositions(len(f), steps))
    assert expected_kl(f, sizes) == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize("steps", [2, 100, 299, 300, 301, 399, 400])
def test_optimal_steps_of_a_curve_longer_than_a_block(steps):
    """Where f falls in one place only, nothing is lost by any steps that stop there."""
    f = np.where(np.arange(400) < 300, 5.0, 1.0)
    sizes = optimal_steps(f, steps)
    assert (len(sizes), sum(sizes)) == (steps, 400)
    assert expected_kl(f, sizes) == pytest.approx(0, abs=1e-9)
    assert 300 in np.cumsum(sizes)


def test_optimal_steps_of_a_long_noisy_curve_beat_their_neighbours():
    f = 3 / (1 + np.arange(500) / 20) + np.random.default_rng(0).normal(0, 0.1, 500)
    sizes = np.array(optimal_steps(f, 40))
    best = expected_kl(f, sizes)
    for i in range(39):
        for change in (-1, 1):
            other = sizes.copy()
            other[i], other[i + 1] = other[i] + change, other[i + 1] - change
            if other.min() > 0:
                assert expected_kl(f, other) >= best - 1e-9
    assert best < min(expected_kl(f, [n for n in make(500, 40) if n]) for make in SCHEDULES.values())


def test_equals_go_to_the_later_steps():
    assert optimal_steps([1.0] * 7, 3) == [1, 1, 5]


def test_optimal_steps_of_the_grammar():
    assert optimal_steps(CURVE, 12) == [1] * 12
    assert optimal_steps(CURVE, 1) == [12]
    assert optimal_steps(CURVE, 6) == [1, 1, 2, 2, 3, 3]
    assert expected_kl(CURVE, optimal_steps(CURVE, 6)) < 0.5 * expected_kl(CURVE, uniform(12, 6))


@pytest.mark.parametrize("steps", [0, 4, -1])
def test_steps_that_do_not_fit(steps):
    with pytest.raises(InputError, match=f"steps = {steps} do not reveal 3 positions"):
        optimal_steps([3.0, 2.0, 1.0], steps)
    with pytest.raises(InputError, match=f"steps = {steps} do not reveal 3 positions"):
        uniform(3, steps)


def test_a_curve_that_is_not_finite():
    with pytest.raises(InputError, match=r"f\(1\) is not finite"):
        optimal_steps([3.0, math.inf, 1.0], 2)


# ---- the samplers' steps


def test_the_remainder_comes_last_or_first():
    assert uniform(14, 4) == [3, 3, 4, 4]
    assert llada(14, 4) == [4, 4, 3, 3]
    assert uniform(12, 4) == llada(12, 4) == [3, 3, 3, 3]


def test_cosine_by_hand():
    # 12 cos(π/8) = 11.09, 12 cos(π/4) = 8.49, 12 cos(3π/8) = 4.59: 11, 8, 4, 0 stay masked
    assert cosine(12, 4) == [1, 3, 4, 4]


def test_dream_reveals_nothing_first_and_two_last():
    assert dream(32, 32) == [0, *[1] * 30, 2]


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_steps_add_up(length, data):
    steps = data.draw(st.integers(1, length))
    for name, schedule in SCHEDULES.items():
        sizes = schedule(length, steps)
        assert (len(sizes), sum(sizes)) == (steps, length)
        assert min(sizes) >= (0 if name == "dream" else 1)


# ---- prices


def enumerated_price(entropies, sizes):
    """Mean over all orders of sets of Σ_s [ Σ_{i∈S} H(X_i | X_V) − H(X_S | X_V) ], from the entropies of all sets."""
    length = len(entropies).bit_length() - 1

    def following(visible, sizes):
        if not sizes:
            return 0.0
        hidden = [i for i in range(length) if not visible >> i & 1]
        prices = []
        for chosen in itertools.combinations(hidden, sizes[0]):
            together = visible | sum(1 << i for i in chosen)
            marginals = sum(entropies[visible | 1 << i] - entropies[visible] for i in chosen)
            prices.append(marginals - entropies[together] + entropies[visible] + following(together, sizes[1:]))
        return float(np.mean(prices))

    return following(0, list(sizes))


@pytest.fixture(scope="module")
def grammar_entropies():
    return subset_entropies(get_language("grammar"))


@pytest.mark.parametrize("schedule", ["uniform", "cosine", "dream", "optimal"])
@pytest.mark.parametrize("steps", [1, 2])
def test_price_on_the_grammar_is_that_of_enumeration(grammar_entropies, schedule, steps):
    table = price.price_table({"exact": CURVE, "the same": CURVE}, [steps], 0).set_index("schedule")
    sizes = optimal_steps(CURVE, steps) if schedule == "optimal" else SCHEDULES[schedule](12, steps)
    expected = enumerated_price(grammar_entropies, sizes)
    assert table.at[schedule, "value"] == pytest.approx(expected, abs=1e-9)
    assert table.at[schedule, "low"] == pytest.approx(expected, abs=1e-9)


def test_price_in_three_steps_is_that_of_enumeration():
    language = Language.from_sentences(
        "made up", {"a b a b a": 0.4, "b b a a a": 0.3, "a a a a b": 0.2, "b a b a b": 0.1}
    )
    f, entropies = exact_curve(language), subset_entropies(language)
    for sizes in ([1, 2, 2], [2, 2, 1], [3, 1, 1]):
        assert expected_kl(f, sizes) == pytest.approx(enumerated_price(entropies, sizes), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 9), min_size=2, max_size=40), st.data())
def test_li_cai_bound_holds_where_the_curve_falls(f, data):
    f = sorted(f, reverse=True)
    sizes = SCHEDULES[data.draw(st.sampled_from(["uniform", "llada", "cosine"]))](
        len(f), data.draw(st.integers(1, len(f)))
    )
    assert expected_kl(f, sizes) <= li_cai_bound(f, sizes) + 1e-9


def test_li_cai_bound_by_hand():
    f = [1.0, 0.5, 0.25, 0.25]
    assert [li_cai_bound(f, sizes) for sizes in ([1, 1, 1, 1], [2, 2], [1, 3], [4])] == [0, 0.75, 2.25, 2.25]


def test_price_table_of_answers_of_different_lengths():
    """Straight curves f(k) = a (1 − k / L): equal steps of n cost a n (n − 1) / 2L each."""
    curves = {f"p{i}": (1 + i) * (1 - np.arange(n) / n) for i, n in enumerate((8, 16, 4))}
    table = price.price_table(curves, [2, 4, 16], 0).set_index(["schedule", "steps"])
    by_hand = {2: (2 * 12 / 16, 2 * 2 * 56 / 32, 2 * 3 * 2 / 8), 4: (4 * 2 / 16, 4 * 2 * 12 / 32, 0)}
    for steps, prices in by_hand.items():
        assert table.at[("uniform", steps), "value"] == pytest.approx(np.mean(prices))
    assert table.at[("uniform", 16), "value"] == pytest.approx(0)  # not more steps than an answer has tokens
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert (table["value"] <= table["bound"] + 1e-9).all()


def test_the_price_of_the_optimal_steps_is_not_their_own_noise():
    """Around a flat curve every step size costs nothing on average; sizes fitted to the noise would seem to gain."""
    honest, fitted = [], []
    for seed in range(30):
        draw = np.random.default_rng(seed)
        curves = {f"p{i}": 1 + draw.normal(0, 1, 16) for i in range(20)}
        honest.append(price.price_table(curves, [4], seed).set_index("schedule").at["optimal", "value"])
        mean = np.mean(list(curves.values()), axis=0)
        fitted.append(expected_kl(mean, optimal_steps(mean, 4)))
    error = np.std(honest, ddof=1) / math.sqrt(30)
    assert abs(np.mean(honest)) < 3 * error
    assert np.mean(fitted) < -6 * error


def test_step_sizes_from_a_noisy_curve_do_not_follow_its_noise():
    """A falling convex curve with noise: sizes chosen from it cost less than equal steps, at every number of them."""
    f = 3 / (1 + np.arange(64) / 4)
    for seed in range(10):
        noisy = f + np.random.default_rng(seed).normal(0, 0.1, 64)
        for count in (4, 8, 16, 32):
            sizes = optimal_steps(price.convex_mean([noisy], 64), count)
            assert expected_kl(f, sizes) < expected_kl(f, uniform(64, count))


def test_a_mean_that_rises_is_made_to_fall_ever_more_slowly():
    assert price.convex_mean([CURVE, 3 * CURVE], 12) == pytest.approx(2 * CURVE)
    assert price.convex_mean([np.array([3.0, 1, 2, 1, 0])], 5) == pytest.approx([3.2, 1.7, 1.2, 0.7, 0.2])


@pytest.fixture
def records():
    """Two prompts measured at every k of the curve 3, 1, 1, 0 and its double."""
    rows = [
        (f"p{factor}", True, 0, k, 4, 1, i, -factor * nll)
        for factor in (1, 2)
        for k, nll in enumerate((3.0, 1.0, 1.0, 0.0))
        for i in range(k, 4)
    ]
    return pd.DataFrame(
        rows, columns=["prompt_id", "padding", "replicate", "visible", "span", "weight", "position", "answer_logprob"]
    )


def test_command(records, tmp_path, capsys):
    records.to_parquet(tmp_path / "curve.parquet")
    price.main([str(tmp_path / "curve.parquet"), "--steps", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "answers with their padding: 2 answers of 4 tokens, 7.5 nats each one token at a time"
    assert lines[1].startswith("at 2 steps you lose 4.5 ± 1.5 nats")  # (2 · 3 − 4) + (2 · 1 − 1) = 3, times 1 and 2
    assert lines[-1] == "these step sizes lose 1.5 ± 0.5: 1 3"  # 3 · 1 − 2 = 1, times 1 and 2


def test_command_on_something_else(tmp_path):
    pd.DataFrame({"prompt_id": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(SystemExit, match="other.parquet: not a table with columns"):
        price.main([str(tmp_path / "other.parquet")])
    with pytest.raises(InputError, match="price: no curves"):
        price.price_table({}, [2], 0)
    with pytest.raises(InputError, match="price: steps = 0"):
        price.price_table({"exact": CURVE}, [0], 0)
