"""Tables that compare the prices of a measured curve with exact prices and with measured regret."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from discreteness.core.schedules import SCHEDULES
from discreteness.core.statistics import bootstrap_ratio
from discreteness.curves.price import price_table
from discreteness.curves.records import by_mode, prompt_curves
from discreteness.curves.step_sizes import expected_kl, expected_regret, optimal_steps

PRICE_COLUMNS = ["padding", "statistic", "schedule", "steps", "value", "low", "high", "prompts"]


def prices_of_records(records: pd.DataFrame, steps: Sequence[int], seed: int) -> pd.DataFrame:
    """PRICE_COLUMNS of a model's records, of the answers alone and of those with their padding.

    `prices`, and `regret_expected`: see `expected_regrets`.
    """
    frames = []
    for mode, rows in by_mode(records).items():
        tables = [prices(prompt_curves(rows), steps, seed), expected_regrets(rows, steps, seed)]
        frames += [table.assign(padding=mode == "padded") for table in tables]
    return pd.concat(frames, ignore_index=True)[PRICE_COLUMNS]


def counts_within(steps: Sequence[int], length: int) -> list[int]:
    """The numbers of steps that an answer of `length` tokens can take; the smallest one where all are too many.

    In that case a step reveals at most one token, and nothing is lost.
    """
    return [count for count in steps if count <= length] or [min(steps)]


def prices(curves: Mapping[str, np.ndarray], steps: Sequence[int], seed: int) -> pd.DataFrame:
    """PRICE_COLUMNS but `padding` of measured curves, intervals over prompts.

    price: of every schedule, nats per answer; relative: that price divided by the uniform schedule's; bound: Li and
    Cai's, for uniform steps. Smallest numbers of prompts: those of `price_table`.
    """
    table = price_table(curves, counts_within(steps, max(map(len, curves.values()))), seed)
    bound = table[table["schedule"] == "uniform"].assign(statistic="bound", low=np.nan, high=np.nan)
    bound["value"] = bound["bound"]
    relative = table[table["schedule"] != "uniform"].dropna(subset="relative").assign(statistic="relative")
    for name in ("low", "high"):
        relative[name] = relative[f"relative_{name}"]
    relative["value"] = relative["relative"]
    return pd.concat([table.assign(statistic="price"), relative, bound], ignore_index=True)[PRICE_COLUMNS[1:]]


def expected_regrets(records: pd.DataFrame, steps: Sequence[int], seed: int) -> pd.DataFrame:
    """PRICE_COLUMNS but `padding`, of records of one mode: `regret_expected` of uniform steps, nats per token.

    `expected_regret` averaged over the text tokens of all prompts, as regret is measured on decoded answers: special
    tokens count only as visible or masked neighbours. A text token is in a step of n of the L positions with
    probability n / L. The step's other tokens then lower its loss by the fall of the curve over the step; the curve is
    that of the prompt's text tokens. Smallest number of prompts: 1 with text, 2 for the interval; without any text
    there are no rows.
    """
    text = records[records["token_class"] != "special"]
    if text.empty:
        return pd.DataFrame(columns=PRICE_COLUMNS[1:])
    curves = prompt_curves(text)
    tokens = text[text["visible"] == 0].groupby("prompt_id")["position"].nunique()
    steps = counts_within(steps, max(map(len, curves.values())))
    counts = np.array([tokens[prompt_id] for prompt_id in curves])[:, None]  # (P, 1)
    known = np.array(
        [
            [expected_regret(f, SCHEDULES["uniform"](len(f), min(count, len(f)))) / len(f) for count in steps]
            for f in curves.values()
        ]
    )  # (P, steps)
    value, low, high = bootstrap_ratio(counts * known, np.broadcast_to(counts, known.shape), seed)
    table = pd.DataFrame({"steps": steps, "value": value, "low": low, "high": high, "prompts": len(curves)})
    return table.assign(statistic="regret_expected", schedule="uniform")[PRICE_COLUMNS[1:]]


def exact_prices(f: np.ndarray, steps: Sequence[int]) -> pd.DataFrame:
    """PRICE_COLUMNS but `padding` of an exactly known curve, statistic `exact`, for uniform and optimal step sizes."""
    rows = []
    for count in counts_within(steps, len(f)):
        most = min(count, len(f))
        sizes = {"uniform": SCHEDULES["uniform"](len(f), most), "optimal": optimal_steps(f, most)}
        rows += [("exact", name, count, expected_kl(f, size), np.nan, np.nan, 0) for name, size in sizes.items()]
    return pd.DataFrame(rows, columns=PRICE_COLUMNS[1:])
