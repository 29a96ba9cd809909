"""What is recoverable where: tables from the records of `estimate`, with intervals over prompts.

Recoverable information of a masked token is R = log p(x_i | c, x_V) − log u(x_i), nats: pointwise predictive
V-information (Xu et al., arXiv 2002.10689) with the unigram u as the null predictor. Means count every value of k
alike (a state's weight) and every masked token of a state alike.
"""

import numpy as np
import pandas as pd

from discreteness.curves.estimate import resample
from discreteness.randomness import key
from discreteness.statistics import LEVEL, bootstrap_mean

BINS = 10  # of the mask ratio
BOOTSTRAPS = 1000
GRID = 2000  # quantiles kept for a bootstrapped percentile
VIEWS = ("position", "distance_to_visible", "mask_ratio", "token_class")


def with_information(records: pd.DataFrame) -> pd.DataFrame:
    """Records with `recoverable` (nats) and `mask_ratio`, the middle of the token's bin of (L − k) / L."""
    masked = records["span"].astype(int) - records["visible"].astype(int)
    bin_number = -(-masked * BINS // records["span"].astype(int))  # 1 … BINS; a bin holds its upper end
    information = records["answer_logprob"].astype(np.float64) - records["unigram_logprob"].astype(np.float64)
    return records.assign(recoverable=information, mask_ratio=(bin_number - 0.5) / BINS)


def recoverable_information(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean R by position, by distance to the nearest visible token, by mask ratio and by class of token.

    Columns view (one of VIEWS), variant (`all`, or `text` without special tokens, so without the padding), group,
    value, low, high (95 %, bootstrap over prompts), prompts (that have such a token), tokens (records).
    """
    records = with_information(records)
    frames = []
    for variant, mine in (("all", records), ("text", records[records["token_class"] != "special"])):
        frames.extend(_grouped(mine, view, seed).assign(view=view, variant=variant) for view in VIEWS)
    columns = ["view", "variant", "group", "value", "low", "high", "prompts", "tokens"]
    return pd.concat(frames, ignore_index=True)[columns]


def _grouped(records: pd.DataFrame, by: str, seed: int) -> pd.DataFrame:
    weighted = records.assign(product=records["recoverable"] * records["weight"])
    cells = weighted.groupby(["prompt_id", by], sort=True).agg(
        product=("product", "sum"), weight=("weight", "sum"), tokens=("weight", "size")
    )
    products, weights, tokens = (cells[name].unstack(fill_value=0) for name in ("product", "weight", "tokens"))
    value, low, high = bootstrap_ratio(products.to_numpy(), weights.to_numpy(), seed)
    return pd.DataFrame(
        {
            "group": products.columns,
            "value": value,
            "low": low,
            "high": high,
            "prompts": (tokens > 0).sum().to_numpy(),
            "tokens": tokens.sum().to_numpy(),
        }
    )


def bootstrap_ratio(numerators: np.ndarray, denominators: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Σ numerators / Σ denominators over the first axis with a 95 % percentile bootstrap interval: (P, G) -> 3 × (G,).

    A mean over tokens whose numbers differ by prompt, prompts being what is drawn again. Draws without any token of a
    group do not count for it.
    """
    weights = _draws(len(numerators), seed)
    with np.errstate(invalid="ignore"):
        ratios = (weights @ numerators) / (weights @ denominators)
        value = numerators.sum(0) / denominators.sum(0)
    low, high = np.nanquantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return value, low, high


def _draws(prompts: int, seed: int) -> np.ndarray:
    """(BOOTSTRAPS, P) how often each prompt is drawn."""
    generator = np.random.default_rng(key(seed, "bootstrap"))
    return generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=BOOTSTRAPS)


def spread(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Same noise level, very different loss: how unequal R is among the tokens masked at one mask ratio.

    Columns mask_ratio, statistic (`p90_p10`, the 90th minus the 10th percentile of R, or `sd`), value, low, high (95 %,
    bootstrap over prompts), prompts, tokens; nats. Special tokens are left out: predictable padding would widen it.
    """
    records = with_information(records)
    records = records[records["token_class"] != "special"]
    rows = []
    for ratio, mine in records.groupby("mask_ratio"):
        prompt, names = pd.factorize(mine["prompt_id"], sort=True)
        values, weights = mine["recoverable"].to_numpy(), mine["weight"].to_numpy(np.float64)
        statistics = {"p90_p10": _percentile_range, "sd": _standard_deviation}
        draws = np.vstack([np.ones(len(names)), _draws(len(names), seed)])  # the first one is the data themselves
        for statistic, function in statistics.items():
            value, *drawn = function(values, weights, prompt, draws)
            low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            rows.append((ratio, statistic, value, low, high, len(names), len(mine)))
    return pd.DataFrame(rows, columns=["mask_ratio", "statistic", "value", "low", "high", "prompts", "tokens"])


def _percentile_range(values: np.ndarray, weights: np.ndarray, prompt: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """90th minus 10th percentile of values (n,) under every draw of prompts, (draws, P) -> (draws,).

    More than GRID values are read off at GRID of their own quantiles, so that every draw is a row of a product.
    """
    order = np.argsort(values, kind="stable")
    cell = np.empty(len(values), dtype=np.int64)
    cell[order] = np.arange(len(values)) * min(GRID, len(values)) // len(values)
    upper = np.full(cell.max() + 1, -np.inf)
    np.maximum.at(upper, cell, values)
    mass = np.zeros((draws.shape[1], len(upper)))
    np.add.at(mass, (prompt, cell), weights)
    reached = np.cumsum(draws @ mass, axis=1)  # (draws, cells)
    low, high = ((reached >= share * reached[:, -1:] * (1 - 1e-12)).argmax(1) for share in (0.1, 0.9))
    return upper[high] - upper[low]


def _standard_deviation(values: np.ndarray, weights: np.ndarray, prompt: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Of values (n,) under every draw of prompts, (draws, P) -> (draws,)."""
    centred = values - values.mean()
    total, first, second = (draws @ np.bincount(prompt, weights * centred**power) for power in range(3))
    return np.sqrt((second / total - (first / total) ** 2).clip(min=0))


def mean_curve(curves: dict[str, np.ndarray], length: int, seed: int) -> pd.DataFrame:
    """Mean information curve over prompts at k = 0 … length − 1, answers of other lengths resampled to this one.

    Columns visible, value, low, high, standard_error (over prompts), prompts; nats.
    """
    matrix = np.stack([resample(curve, length) for curve in curves.values()])
    value, low, high = bootstrap_mean(matrix, seed)
    error = matrix.std(0, ddof=1) / np.sqrt(len(matrix)) if len(matrix) > 1 else np.full(length, np.nan)
    return pd.DataFrame(
        {
            "visible": np.arange(length),
            "value": value,
            "low": low,
            "high": high,
            "standard_error": error,
            "prompts": len(matrix),
        }
    )
