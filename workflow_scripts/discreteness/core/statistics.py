"""Intervals: what the numbers would be with other prompts.

Every estimator has a smallest number of values, its `Smallest n` below: with fewer, what it cannot say is NaN.
"""

import numpy as np

from discreteness.core.randomness import key

LEVEL = 0.95
FEWEST = 2  # values that an interval needs: a single one does not vary


def bootstrap_mean(values: np.ndarray, seed: int, replicates: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis with a percentile bootstrap interval at 95 %: (n, …) -> three arrays (…).

    The same prompts are redrawn for all columns, so a curve's band keeps the curve's correlations. NaN columns stay
    NaN. Smallest n: 1 for the mean, FEWEST for the interval; one of fewer than 6 holds less than 95 % (`coverage`).
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < FEWEST:
        nothing = np.full(values.shape[1:], np.nan)[()]
        return (values.mean(0) if len(values) else nothing), nothing, nothing
    means = np.tensordot(redrawn(len(values), seed, replicates), values, axes=1)
    return values.mean(0), *percentile_interval(means, len(values))


def bootstrap_ratio(
    numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ numerators / Σ denominators over the first axis, with a percentile bootstrap interval at 95 %.

    For means over tokens when whole prompts are redrawn: a prompt brings its sum and its number of tokens together.
    (n, …) twice -> three arrays (…). NaN where the denominators add up to 0; redrawn samples where they do are left
    out of the interval. Smallest n: 1 for the ratio; for its interval FEWEST with a denominator other than 0.
    """
    sums = [np.asarray(part, dtype=np.float64) for part in (numerators, denominators)]
    value = _divide(*(part.sum(0) for part in sums))
    counts = (sums[1] != 0).sum(0)
    if len(sums[1]) < FEWEST:
        return value, *percentile_interval(value[None], 0)
    weights = redrawn(len(sums[1]), seed, replicates)
    ratios = _divide(*(np.tensordot(weights, part, axes=1) for part in sums))  # (replicates, …)
    return value, *percentile_interval(np.where(counts < FEWEST, np.nan, ratios), len(sums[1]))


def percentile_interval(replicates: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of a statistic's redrawn values (replicates, …) -> two arrays (…); NaN among them do not count.

    n: values that the samples are redrawn from. Smallest n: FEWEST.
    """
    replicates = np.asarray(replicates, dtype=np.float64)
    ends = np.full((2, *replicates.shape[1:]), np.nan)
    some = ~np.isnan(replicates).all(0) & (n >= FEWEST)
    if some.any():
        quantile = np.nanquantile if np.isnan(replicates[:, some]).any() else np.quantile
        ends[:, some] = quantile(replicates[:, some], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends[0], ends[1]


def coverage(n: int) -> float:
    """How often a percentile bootstrap interval of n values holds the middle of a symmetric distribution, at most.

    The interval lies within the range of the values, which misses the middle when they all are on one side of it:
    1 − 2^(1 − n), so 0.5 of two values, 0.94 of five, and only from six on LEVEL.
    """
    return float(np.clip(1 - 2.0 ** (1 - n), 0, LEVEL))


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of independent draws with its 95 % interval by Student's t: (n,) -> value, low, high.

    Smallest n: 1 for the mean, FEWEST for the interval.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < FEWEST:
        return (float(values.mean()) if len(values) else np.nan), np.nan, np.nan
    mean, error = float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)
    half = student_t(len(values) - 1) * error
    return mean, mean - half, mean + half


def wilson(count: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson score interval (Wilson 1927): value, low, high. Smallest n: 1."""
    if n < 1:
        return np.nan, np.nan, np.nan
    z, share = 1.96, count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return share, max(0.0, middle - half), min(1.0, middle + half)


def redrawn(n: int, seed: int, replicates: int = 1000) -> np.ndarray:
    """(replicates, n) shares of the n values in each redrawn sample. Smallest n: 1."""
    generator = np.random.default_rng(key(seed, "bootstrap"))
    return generator.multinomial(n, np.full(n, 1 / n), size=replicates) / n


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


def jackknife_interval(full: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a smooth statistic from its delete-one-group values (Student t, groups − 1 degrees).

    full (…): the statistic on everything; left_out (groups, …): without each group. The standard error is
    sqrt((g − 1) / g · Σ (θ_j − mean θ)²) (Efron and Stein 1981). Smallest number of groups: FEWEST.
    """
    groups = len(left_out)
    if groups < FEWEST:
        return np.full_like(full, np.nan), np.full_like(full, np.nan)
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean(0)) ** 2).sum(0))
    t = student_t(groups - 1)
    return full - t * error, full + t * error


def student_t(degrees: int) -> float:
    """Student's t, 97.5 % quantile, from 1 degree of freedom on; to three decimals.

    Up to 9 degrees from tables; above, the expansion around the normal quantile (Abramowitz and Stegun 26.7.5).
    """
    if degrees in _T975:
        return _T975[degrees]
    z, d = 1.959964, degrees
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / d**power for power, term in enumerate(terms, 1))


# Student's t, 97.5 % quantile by degrees of freedom (tables in any statistics text).
_T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
