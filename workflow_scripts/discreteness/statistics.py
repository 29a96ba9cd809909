"""Intervals: what the numbers would be with other prompts."""

import numpy as np

from discreteness.randomness import key

LEVEL = 0.95


def bootstrap_mean(values: np.ndarray, seed: int, replicates: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis with a percentile bootstrap interval at 95 %: (n, …) -> three arrays (…).

    The same prompts are redrawn for all columns, so a curve's band keeps the curve's correlations. With one prompt
    the interval is that prompt's value. NaN columns stay NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    generator = np.random.default_rng(key(seed, "bootstrap"))
    weights = generator.multinomial(n, np.full(n, 1 / n), size=replicates) / n  # (replicates, n)
    means = np.tensordot(weights, values, axes=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return values.mean(0), low, high


def jackknife_interval(full: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a smooth statistic from its delete-one-group values (Student t, groups − 1 degrees).

    full (…): the statistic on everything; left_out (groups, …): without each group. The standard error is
    sqrt((g − 1) / g · Σ (θ_j − mean θ)²) (Efron and Stein 1981).
    """
    groups = len(left_out)
    if groups < 2:
        return np.full_like(full, np.nan), np.full_like(full, np.nan)
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean(0)) ** 2).sum(0))
    t = _T975.get(groups - 1, 1.96)
    return full - t * error, full + t * error


# Student's t, 97.5 % quantile by degrees of freedom (tables in any statistics text).
_T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
