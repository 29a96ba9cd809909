"""Intervals: known cases."""

import numpy as np
import pytest

from discreteness.statistics import bootstrap_mean, bootstrap_ratio, jackknife_interval


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
    assert (high - low)[0] == pytest.approx(2 * 2.262 * error)


def test_a_ratio_is_pooled_and_equal_sizes_make_it_a_mean():
    values = np.random.default_rng(4).normal(size=(30, 2))
    sizes = np.full((30, 2), 5.0)
    for ratio, mean in zip(bootstrap_ratio(values * sizes, sizes, 7), bootstrap_mean(values, 7), strict=True):
        assert np.allclose(ratio, mean)
    value, low, high = bootstrap_ratio(np.array([1.0, 9.0]), np.array([1.0, 3.0]), 0)
    assert (value, low, high) == (2.5, 1.0, 3.0)  # two prompts: redrawn as 1/1, 9/3 or both


def test_a_ratio_without_anything_below_is_nan_and_leaves_the_others():
    value, low, high = bootstrap_ratio(np.array([[0.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 4.0], [0.0, 0.0]]), 0)
    assert np.isnan([value[0], low[0], high[0]]).all()
    assert (value[1], low[1], high[1]) == (0.5, 0.5, 0.5)
