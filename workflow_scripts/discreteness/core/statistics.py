"""95 % intervals: how much a number varies over samples of prompts. Wilson's and Student's t come from scipy.

Every estimator has a smallest number of values, its `Smallest n` below: with fewer, what it cannot say is NaN.
scipy is imported inside the functions: the import takes up to a second, and few jobs need it.
"""

import numpy as np

from discreteness.core.randomness import key

LEVEL = 0.95
FEWEST = 2  # values that an interval needs: a single one does not vary


def bootstrap_mean(values: np.ndarray, seed: int, replicates: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis with a percentile bootstrap interval at 95 %: (n, …) -> three arrays (…).

    All columns share the bootstrap samples of prompts, so a curve's band keeps the curve's correlations. NaN columns
    stay NaN. Smallest n: 1 for the mean, FEWEST for the interval; one of fewer than 6 values covers less than 95 %
    (`coverage`).
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < FEWEST:
        nothing = np.full(values.shape[1:], np.nan)[()]
        return (values.mean(0) if len(values) else nothing), nothing, nothing
    means = np.tensordot(bootstrap_weights(len(values), seed, replicates), values, axes=1)
    return values.mean(0), *percentile_interval(means, len(values))


def bootstrap_ratio(
    numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ numerators / Σ denominators over the first axis, with a percentile bootstrap interval at 95 %.

    For means over tokens where a bootstrap sample consists of whole prompts: each prompt contributes its sum and its
    number of tokens together. (n, …) twice -> three arrays (…). NaN where the denominators add up to 0; bootstrap
    samples in which they do are left out of the interval. Smallest n: 1 for the ratio; for its interval FEWEST with a
    denominator other than 0.
    """
    sums = [np.asarray(terms, dtype=np.float64) for terms in (numerators, denominators)]
    value = _divide(*(terms.sum(0) for terms in sums))
    counts = (sums[1] != 0).sum(0)
    if len(sums[1]) < FEWEST:
        return value, *percentile_interval(value[None], 0)
    weights = bootstrap_weights(len(sums[1]), seed, replicates)
    ratios = _divide(*(np.tensordot(weights, terms, axes=1) for terms in sums))  # (replicates, …)
    return value, *percentile_interval(np.where(counts < FEWEST, np.nan, ratios), len(sums[1]))


def percentile_interval(replicates: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of a statistic's bootstrap replicates (replicates, …) -> two arrays (…); NaN are left out.

    n: number of values that were resampled. Smallest n: FEWEST.
    """
    replicates = np.asarray(replicates, dtype=np.float64)
    ends = np.full((2, *replicates.shape[1:]), np.nan)
    some = ~np.isnan(replicates).all(0) & (n >= FEWEST)
    if some.any():
        quantile = np.nanquantile if np.isnan(replicates[:, some]).any() else np.quantile
        ends[:, some] = quantile(replicates[:, some], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends[0], ends[1]


def coverage(n: int) -> float:
    """Highest coverage of a percentile bootstrap interval of n values for the centre of a symmetric distribution.

    The interval lies within the range of the values, which misses the centre when all values are on one side of it:
    1 − 2^(1 − n), so 0.5 for two values, 0.94 for five, and LEVEL only from six on.
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
    from scipy.stats import binomtest

    interval = binomtest(count, n).proportion_ci(LEVEL, method="wilson")
    return count / n, float(interval.low), float(interval.high)


def bootstrap_weights(n: int, seed: int, replicates: int = 1000) -> np.ndarray:
    """(replicates, n) share of each of the n values in every bootstrap sample. Smallest n: 1.

    Not `scipy.stats.bootstrap`: the same n and seed give the same weights, so that all curves share the samples.
    """
    generator = np.random.default_rng(key(seed, "bootstrap"))
    return generator.multinomial(n, np.full(n, 1 / n), size=replicates) / n


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


def jackknife_interval(full: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a smooth statistic from its delete-one-group values (Student's t, groups − 1 degrees).

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
    """97.5 % quantile of Student's t: half the width of a 95 % interval, in standard errors. degrees: 1 or more."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
