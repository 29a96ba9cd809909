"""Intervals: closed forms and published values."""

import math

import numpy as np
import pytest

from discreteness.core.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    coverage,
    jackknife_interval,
    mean_interval,
    percentile_interval,
    student_t,
    wilson,
)

T1 = math.tan(0.475 * math.pi)  # 97.5 % quantile of Student's t with 1 degree of freedom, the Cauchy distribution
Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def test_bootstrap_covers_like_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, size=(400, 1))
    mean, low, high = bootstrap_mean(values, seed=0)
    assert mean[0] == values.mean()
    half = 1.96 * values.std() / 20
    assert high[0] - mean[0] == pytest.approx(half, rel=0.15)
    assert mean[0] - low[0] == pytest.approx(half, rel=0.15)


def test_constant_values_have_no_width_and_seeds_repeat():
    values = np.full((10, 3), 2.0)
    assert all(np.allclose(part, 2) for part in bootstrap_mean(values, 0))
    random = np.random.default_rng(2).normal(size=(10, 3))
    first, second = bootstrap_mean(random, 5), bootstrap_mean(random, 5)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_nan_columns_stay_nan_and_others_do_not():
    mean, low, high = bootstrap_mean(np.array([[1.0, np.nan], [3.0, np.nan]]), 0)
    assert mean[0] == 2 and np.isfinite([low[0], high[0]]).all() and np.isnan(low[1])


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(3).normal(size=10)
    left_out = np.array([[np.delete(values, i).mean()] for i in range(10)])
    low, high = jackknife_interval(values.mean(keepdims=True), left_out)
    error = values.std(ddof=1) / np.sqrt(10)
    assert (high - low)[0] == pytest.approx(2 * 2.2621572 * error)


def test_a_ratio_is_pooled_and_equal_sizes_make_it_a_mean():
    values = np.random.default_rng(4).normal(size=(30, 2))
    sizes = np.full((30, 2), 5.0)
    for ratio, mean in zip(bootstrap_ratio(values * sizes, sizes, 7), bootstrap_mean(values, 7), strict=True):
        assert np.allclose(ratio, mean)
    value, low, high = bootstrap_ratio(np.array([1.0, 9.0]), np.array([1.0, 3.0]), 0)
    assert (value, low, high) == (2.5, 1.0, 3.0)  # a bootstrap sample of two prompts: 1/1, 9/3 or both


def test_a_ratio_without_anything_below_is_nan_and_leaves_the_others():
    numerators, denominators = [[0.0, 2.0, 2.0], [0.0, 0.0, 1.0]], [[0.0, 4.0, 4.0], [0.0, 0.0, 1.0]]
    value, low, high = bootstrap_ratio(np.array(numerators), np.array(denominators), 0)
    assert np.isnan([value[0], low[0], high[0]]).all()
    assert value[1] == 0.5 and np.isnan([low[1], high[1]]).all()  # of one prompt only
    assert (value[2], low[2], high[2]) == (0.6, 0.5, 1.0)


# ---- too few values


@pytest.mark.parametrize("shape", [(1,), (1, 3), (1, 2, 3)])
@pytest.mark.filterwarnings("error")
def test_one_value_has_no_interval(shape):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    for mean, low, high in (bootstrap_mean(values, 0), bootstrap_ratio(2 * values, np.full(shape, 2.0), 0)):
        assert np.array_equal(mean, values[0]) and np.shape(low) == np.shape(high) == shape[1:]
        assert np.isnan(low).all() and np.isnan(high).all()


@pytest.mark.filterwarnings("error")
def test_no_values_have_no_mean():
    for estimate in (
        bootstrap_mean(np.empty((0, 2)), 0),
        bootstrap_mean(np.empty(0), 0),
        bootstrap_ratio(np.empty((0, 2)), np.empty((0, 2)), 0),
        mean_interval(np.empty(0)),
        wilson(0, 0),
    ):
        assert all(np.isnan(part).all() for part in estimate)


def test_the_jackknife_needs_two_groups():
    low, high = jackknife_interval(np.array([1.0]), np.array([[2.0]]))
    assert np.isnan([low, high]).all()
    low, high = jackknife_interval(np.array([1.0]), np.array([[0.0], [2.0]]))
    assert high[0] == pytest.approx(1 + T1)  # sqrt(1 / 2 · 2) = 1


def test_percentiles_need_two_values_behind_them():
    draws = np.arange(1001.0)
    assert percentile_interval(draws, 2) == pytest.approx((25, 975))
    assert np.isnan(percentile_interval(draws, 1)).all()


def test_wilson_interval_of_one_value():
    """For n = 1 the bounds are 1 / (1 + z²) and 1, or 0 and z² / (1 + z²)."""
    assert wilson(1, 1) == pytest.approx((1, 1 / (1 + Z**2), 1))
    assert wilson(0, 1) == pytest.approx((0, 0, Z**2 / (1 + Z**2)))


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_as_published(count, n, low, high):
    """Table I of Newcombe (Statistics in Medicine 17, 1998, 857-872), method 3."""
    assert wilson(count, n) == pytest.approx((count / n, low, high), abs=6e-5)


def test_interval_of_the_mean_of_two_draws():
    assert mean_interval(np.array([0.0, 2.0])) == pytest.approx((1, 1 - T1, 1 + T1))
    value, low, high = mean_interval(np.array([5.0]))
    assert value == 5 and np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("degrees", "t"),
    [(1, T1), (2, 0.95 * (2 / (1 - 0.95**2)) ** 0.5), (9, 2.26216), (10, 2.22814), (30, 2.04227), (10**9, Z)],
)
def test_students_t(degrees, t):
    """Closed forms for 1 and 2 degrees of freedom, published tables, and the normal quantile in the limit."""
    assert student_t(degrees) == pytest.approx(t, abs=6e-6)


@pytest.mark.parametrize(("n", "most"), [(0, 0), (1, 0), (2, 0.5), (3, 0.75), (5, 0.9375), (6, 0.95), (100, 0.95)])
def test_intervals_of_few_values_cover_less_than_they_say(n, most):
    """The range of n values misses the middle of a symmetric distribution when all lie on one side of it."""
    assert coverage(n) == most
    if 1 < n < 6:
        draws = np.random.default_rng(0).normal(size=(400, n))
        intervals = [bootstrap_mean(values, 0, 200)[1:] for values in draws]
        covered = np.mean([low <= 0 <= high for low, high in intervals])
        assert covered <= most + 3 * (most * (1 - most) / 400) ** 0.5
