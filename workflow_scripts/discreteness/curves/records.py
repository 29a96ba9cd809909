"""The records of an information curve, token by token, and each prompt's curve from them.

The records are those that `estimate` measures, `estimate.COLUMNS`.
"""

import numpy as np
import pandas as pd

from discreteness.core.errors import InputError

SLOPES = 12  # of the control variate, one per bin of the visible share k / L


def by_mode(records: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """mode -> its records, for every one of MODES that was measured; `padded` alone where there are no records."""
    padding = records["padding"].astype(bool)
    modes = {"answer": records[~padding], "padded": records[padding]}
    return {mode: rows for mode, rows in modes.items() if len(rows)} or {"padded": records}


def as_generated(records: pd.DataFrame) -> pd.DataFrame:
    """The records of padded answers, as a model generates them; where none were measured, those of answers alone."""
    modes = by_mode(records)
    return modes.get("padded", modes.get("answer"))


def state_means(records: pd.DataFrame) -> pd.DataFrame:
    """Unbiased estimate `nll` of f(k) (nats) of every state, with its `weight`; index (prompt_id, replicate, visible).

    The mean loss over the masked tokens, variance-reduced by a control variate. With b_i the loss of token i when
    nothing is visible, β (mean b over the masked tokens − mean b over all tokens) has expectation 0 and is subtracted.
    The estimate stays unbiased for any β that does not depend on the answer. β is the slope of the loss on b, between 0
    and 1, in the other prompts' states of a similar k / L (0 where there are none). On text, tokens differ in loss much
    more than states do: the control variate reduces a price's standard error to a third. On the grammar it hardly
    matters.
    Raises InputError for records of answers with and without padding together: `by_mode` takes them apart.
    """
    if records["padding"].nunique() > 1:
        raise InputError("curve: records of answers with and without padding together (take them apart with `by_mode`)")
    names = ["prompt_id", "replicate", "visible", "span", "weight", "position"]
    frame = records[names].assign(nll=-records["answer_logprob"].astype(np.float64))
    unseen = frame[frame["visible"] == 0].drop_duplicates(["prompt_id", "position"])
    baseline = unseen.set_index(["prompt_id", "position"])["nll"]
    overall = baseline.groupby(level="prompt_id").mean()
    baseline -= overall.reindex(baseline.index, level="prompt_id")
    frame["baseline"] = baseline.reindex(pd.MultiIndex.from_frame(frame[["prompt_id", "position"]])).to_numpy()
    frame["bin"] = frame["visible"] * SLOPES // frame["span"]
    excess = frame["nll"] - frame["prompt_id"].map(overall)
    products = frame.assign(xy=frame["baseline"] * excess, xx=frame["baseline"] ** 2)
    sums = products.groupby(["prompt_id", "bin"])[["xy", "xx"]].sum()
    others = sums.groupby(level="bin").transform("sum") - sums
    slope = (others["xy"] / others["xx"].where(others["xx"] > 1e-9)).fillna(0.0).clip(0, 1)
    states = frame.groupby(["prompt_id", "replicate", "visible"], sort=False).agg(
        nll=("nll", "mean"), baseline=("baseline", "mean"), bin=("bin", "first"), weight=("weight", "first")
    )
    cells = pd.MultiIndex.from_arrays([states.index.get_level_values("prompt_id"), states["bin"]])
    states["nll"] -= slope.reindex(cells).to_numpy() * states["baseline"]
    return states[["nll", "weight"]]


def any_order_nll(records: pd.DataFrame) -> pd.Series:
    """prompt_id -> unbiased estimate of Σ_k f(k), the any-order negative log-likelihood of its answer, nats."""
    states = state_means(records)
    sums = (states["nll"] * states["weight"]).groupby(level=["prompt_id", "replicate"], sort=False).sum()
    return sums.groupby(level="prompt_id", sort=False).mean()


def prompt_curves(records: pd.DataFrame) -> dict[str, np.ndarray]:
    """prompt_id -> f(0 … L − 1) of its answer, nats.

    At the measured k the mean over replicates (`state_means`); between them linear in k (k = 0 and L − 1 are always
    measured). The interpolation is the only bias: at most an eighth of the curve's second difference times the squared
    gap, and none where every k is measured.
    """
    spans = records.groupby("prompt_id", sort=False)["span"].first()
    means = state_means(records)["nll"].groupby(level=["prompt_id", "visible"]).mean()
    return {
        prompt_id: np.interp(np.arange(spans[prompt_id]), values.index.get_level_values("visible"), values.to_numpy())
        for prompt_id, values in means.groupby(level="prompt_id", sort=False)
    }


def resample(curve: np.ndarray, length: int) -> np.ndarray:
    """A curve over another length: linear in the share k / (L − 1) of what is visible; unchanged at its own length."""
    if len(curve) == length:
        return np.asarray(curve, dtype=np.float64)
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(curve)), curve)
