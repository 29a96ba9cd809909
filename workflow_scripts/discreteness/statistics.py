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
    means = np.tensordot(redrawn(len(values), seed, replicates), values, axes=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return values.mean(0), low, high


def bootstrap_ratio(
    numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ numerators / Σ denominators over the first axis, with a percentile bootstrap interval at 95 %.

    For means over tokens when whole prompts are redrawn: a prompt brings its sum and its number of tokens together.
    (n, …) twice -> three arrays (…). NaN where the denominators add up to 0; redrawn samples where they do are left
    out of the interval.
    """
    weights = redrawn(len(numerators), seed, replicates)
    sums = [np.asarray(part, dtype=np.float64) for part in (numerators, denominators)]
    ratios = _divide(*(np.tensordot(weights, part, axes=1) for part in sums))  # (replicates, …)
    value = _divide(*(part.sum(0) for part in sums))
    interval = np.full((2, *value.shape), np.nan)
    some = ~np.isnan(ratios).all(0)
    interval[:, some] = np.nanquantile(ratios[:, some], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return value, interval[0], interval[1]


def wilson(count: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson score interval (Wilson 1927): value, low, high."""
    z, share = 1.96, count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return share, max(0.0, middle - half), min(1.0, middle + half)


def redrawn(n: int, seed: int, replicates: int = 1000) -> np.ndarray:
    """(replicates, n) shares of the n values in each redrawn sample."""
    generator = np.random.default_rng(key(seed, "bootstrap"))
    return generator.multinomial(n, np.full(n, 1 / n), size=replicates) / n


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


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
