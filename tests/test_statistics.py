"""Intervals: known cases."""

import numpy as np
import pytest

from discreteness.statistics import bootstrap_mean, jackknife_interval


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
