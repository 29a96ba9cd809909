"""Recoverable information by position, distance, mask ratio and token class, with intervals over prompts.

The tables are computed from the records of `estimate`.

Recoverable information of a masked token is R = log p(x_i | c, x_V) − log u(x_i), nats: pointwise predictive
V-information (Xu et al., arXiv 2002.10689) with the unigram u as the null predictor. In a mean every value of k has
the same weight (a state's `weight`), and so has every masked token of a state. Values need one prompt, intervals
`statistics.FEWEST`; where fewer prompts have such a token, low and high are NaN.
"""

import numpy as np
import pandas as pd

from discreteness.core.statistics import bootstrap_mean, bootstrap_ratio, bootstrap_weights, percentile_interval
from discreteness.curves.records import by_mode

BINS = 10  # of the mask ratio
GRID = 2000  # quantiles from which a bootstrapped percentile is read
VIEWS = ("position", "distance_to_visible", "mask_ratio", "token_class")
SHARES = (0.1, 0.5, 0.9)  # percentiles of R at one noise level
PAIR = ("content", "function")  # masked at the same ratio, in the same answer


def with_information(records: pd.DataFrame) -> pd.DataFrame:
    """Records with `recoverable` (nats) and `mask_ratio`, the middle of the token's bin of (L − k) / L."""
    masked = records["span"].astype(int) - records["visible"].astype(int)
    bin_number = -(-masked * BINS // records["span"].astype(int))  # 1 … BINS; a bin holds its upper end
    information = records["answer_logprob"].astype(np.float64) - records["unigram_logprob"].astype(np.float64)
    return records.assign(recoverable=information, mask_ratio=(bin_number - 0.5) / BINS)


def recoverable_information(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean R by position, by distance to the nearest visible token, by mask ratio and by class of token.

    Columns padding (whether the answers were measured with it), view (one of VIEWS), variant (`all`, or `text` without
    special tokens, so without the padding), group, value, low, high (95 %, bootstrap over prompts), prompts (that have
    such a token), tokens (records). Positions and distances from 4 on are binned by `octave_halves`; their group is the
    middle of the values that occur.
    """
    frames = []
    for mode, rows in by_mode(records).items():
        rows = with_information(rows)
        text = rows[rows["token_class"] != "special"]
        for variant, chosen in (("all", rows), ("text", text)):
            tables = [_grouped(chosen, view, seed).assign(view=view, variant=variant) for view in VIEWS]
            frames += [table.assign(padding=mode == "padded") for table in tables]
    columns = ["padding", "view", "variant", "group", "value", "low", "high", "prompts", "tokens"]
    return pd.concat(frames, ignore_index=True)[columns]


def octave_halves(numbers: np.ndarray) -> np.ndarray:
    """Bin of each number, its smallest member: 0, 1, 2, 3 alone, then 4–5, 6–7, 8–11, 12–15, 16–23, 24–31 and so on."""
    numbers = np.asarray(numbers, dtype=np.int64)
    width = 2 ** np.maximum(np.log2(np.maximum(numbers, 1)).astype(np.int64) - 1, 0)
    return numbers // width * width


def _binned(numbers: pd.Series) -> pd.Series:
    """Each number's bin of `octave_halves`, named by the middle of the numbers that occur in it."""
    ends = numbers.groupby(octave_halves(numbers.to_numpy())).agg(["min", "max"])
    return pd.Series(octave_halves(numbers.to_numpy()), index=numbers.index).map(ends.mean(axis=1))


def _grouped(records: pd.DataFrame, by: str, seed: int) -> pd.DataFrame:
    if by in ("position", "distance_to_visible"):
        records = records.assign(**{by: _binned(records[by])})
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


def spread(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How unequal R is among the tokens masked at one mask ratio.

    Columns padding, mask_ratio, statistic (percentiles `p10`, `p50` and `p90` of R, `p90_p10`, the last minus the
    first, and `sd`), value, low, high (95 %, bootstrap over prompts), prompts, tokens; nats. Special tokens are left
    out: predictable padding would widen it.
    """
    rows = []
    for mode, text in by_mode(records).items():
        text = with_information(text[text["token_class"] != "special"])
        for ratio, tokens in text.groupby("mask_ratio"):
            prompt, names = pd.factorize(tokens["prompt_id"], sort=True)
            values, weights = tokens["recoverable"].to_numpy(), tokens["weight"].to_numpy(np.float64)
            draws = np.vstack([np.ones(len(names)), bootstrap_weights(len(names), seed)])  # first the data themselves
            p10, p50, p90 = _percentiles(values, weights, prompt, draws)
            sd = _standard_deviation(values, weights, prompt, draws)
            statistics = {"p10": p10, "p50": p50, "p90": p90, "p90_p10": p90 - p10, "sd": sd}
            for statistic, (value, *drawn) in statistics.items():
                low, high = percentile_interval(drawn, len(names))
                rows.append((mode == "padded", ratio, statistic, value, low, high, len(names), len(tokens)))
    return pd.DataFrame(
        rows, columns=["padding", "mask_ratio", "statistic", "value", "low", "high", "prompts", "tokens"]
    )


def _percentiles(
    values: np.ndarray, weights: np.ndarray, prompt: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Percentiles SHARES of values (n,) for every bootstrap sample of prompts, weights (draws, P) -> (draws,) each.

    More than GRID values are replaced by GRID of their quantiles, so that all samples are one matrix product.
    """
    order = np.argsort(values, kind="stable")
    cell = np.empty(len(values), dtype=np.int64)
    cell[order] = np.arange(len(values)) * min(GRID, len(values)) // len(values)
    upper = np.full(cell.max() + 1, -np.inf)
    np.maximum.at(upper, cell, values)
    mass = np.zeros((draws.shape[1], len(upper)))
    np.add.at(mass, (prompt, cell), weights)
    reached = np.cumsum(draws @ mass, axis=1)  # (draws, cells)
    return tuple(upper[(reached >= share * reached[:, -1:] * (1 - 1e-12)).argmax(1)] for share in SHARES)


def _standard_deviation(values: np.ndarray, weights: np.ndarray, prompt: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Of values (n,) for every bootstrap sample of prompts, weights (draws, P) -> (draws,)."""
    centred = values - values.mean()
    total, first, second = (draws @ np.bincount(prompt, weights * centred**power) for power in range(3))
    return np.sqrt((second / total - (first / total) ** 2).clip(min=0))


def salience_table(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Cost of hiding content words, cost of hiding function words, and their paired difference within answers.

    Columns statistic (`mean_nll` of a masked token, `total_nll` of the answer, mean `recoverable` information of a
    masked token), token_class (content, function, difference), value, low, high (95 %, bootstrap over prompts),
    prompts, tokens (masked per answer and class, mean); nats.
    """
    nll = -records["answer_logprob"].astype(np.float64)
    frame = records.assign(nll=nll, recoverable=-nll - records["unigram_logprob"].astype(np.float64))
    by_class = frame.groupby(["prompt_id", "token_class"])
    replicates = by_class["replicate"].nunique()
    numbers = {
        "mean_nll": by_class["nll"].mean(),
        "total_nll": by_class["nll"].sum() / replicates,
        "recoverable": by_class["recoverable"].mean(),
    }
    tokens = (by_class.size() / replicates).mean()
    rows = []
    for statistic, values in numbers.items():
        pair = values.unstack()[list(PAIR)].to_numpy()  # (P, 2)
        columns = np.column_stack([pair, pair[:, 0] - pair[:, 1]])
        for name, *cell in zip((*PAIR, "difference"), *bootstrap_mean(columns, seed), strict=True):
            rows.append((statistic, name, *cell, len(pair), tokens))
    return pd.DataFrame(rows, columns=["statistic", "token_class", "value", "low", "high", "prompts", "tokens"])
