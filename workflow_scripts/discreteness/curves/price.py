"""`python -m discreteness.curves.price TABLE --steps 16`: what parallel decoding costs, from a measured curve.

With fixed step sizes the price is linear in the curve, so the mean of the prompts' prices is unbiased however noisy
each prompt's curve is. Optimal sizes are chosen from measured curves. A noisy curve looks cheaper at sizes that were
chosen for it; each half of the prompts is therefore priced with sizes from the other half's mean curve, made convex.
"""

import argparse
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from discreteness.core.command_line import count, entry_point
from discreteness.core.errors import InputError
from discreteness.core.io import read_table
from discreteness.core.randomness import key
from discreteness.core.schedules import SCHEDULES
from discreteness.core.statistics import FEWEST, bootstrap_mean, bootstrap_ratio
from discreteness.curves.records import any_order_nll, by_mode, prompt_curves, resample
from discreteness.curves.step_sizes import expected_kl, li_cai_bound, optimal_steps


def price_table(curves: dict[str, np.ndarray], steps: Sequence[int], seed: int) -> pd.DataFrame:
    """Expected extra nats per answer of every schedule at every number of steps, at most one step per token.

    curves: prompt_id -> f(0 … L − 1); lengths may differ. Columns schedule (those of `schedules.SCHEDULES`, `optimal`),
    steps, value, low, high (95 %, bootstrap over prompts), relative, relative_low, relative_high (the same as shares of
    the price of `uniform`, NaN where that is 0), bound (mean `li_cai_bound`), prompts. The sizes of `optimal` come from
    the other half of the prompts, so that its price is what new prompts would pay. Raises InputError for no curves and
    for a number of steps below 1.
    Smallest numbers of prompts: 1 for a price; FEWEST for its interval, and for the price of `optimal`, whose step
    sizes must come from another prompt. NaN below.
    """
    if not curves:
        raise InputError("price: no curves")
    if min(steps) < 1:
        raise InputError(f"price: steps = {min(steps)} (expected 1 or more)")
    order = sorted(curves, key=lambda prompt_id: key(seed, "half", prompt_id))
    halves = [order[::2], order[1::2] or order]

    @cache
    def other_mean(half: int, length: int) -> np.ndarray:
        return convex_mean([curves[prompt_id] for prompt_id in halves[1 - half]], length)

    @cache
    def sizes(schedule: str, half: int, length: int, count: int) -> list[int]:
        count = min(count, length)
        if schedule == "optimal":
            return optimal_steps(other_mean(half, length), count)
        return [size for size in SCHEDULES[schedule](length, count) if size]  # an empty step reveals nothing

    half_of = {prompt_id: i % 2 for i, prompt_id in enumerate(order)}
    cells = [(schedule, count) for schedule in (*SCHEDULES, "optimal") for count in steps]
    chosen = [
        [sizes(schedule, half_of[id_], len(curve), count) for schedule, count in cells] for id_, curve in curves.items()
    ]
    prices, bounds = (
        np.array([[cost(curve, row) for row in rows] for curve, rows in zip(curves.values(), chosen, strict=True)])
        for cost in (expected_kl, li_cai_bound)
    )  # (P, cells)
    if len(curves) < FEWEST:
        prices[:, [schedule == "optimal" for schedule, _ in cells]] = np.nan
    value, low, high = bootstrap_mean(prices, seed)
    uniform = np.tile(
        prices[:, [place for place, cell in enumerate(cells) if cell[0] == "uniform"]], len(SCHEDULES) + 1
    )
    relative, relative_low, relative_high = bootstrap_ratio(prices, uniform, seed)
    schedules, counts = zip(*cells, strict=True)
    return pd.DataFrame(
        {
            "schedule": schedules,
            "steps": counts,
            "value": value,
            "low": low,
            "high": high,
            "relative": relative,
            "relative_low": relative_low,
            "relative_high": relative_high,
            "bound": bounds.mean(0),
            "prompts": len(curves),
        }
    )


def convex_mean(curves: Iterable[np.ndarray], length: int) -> np.ndarray:
    """The curves' mean, each resampled to `length` positions, made convex (`convex`); what is removed counts as noise.

    Visible tokens only help, and each further one helps less: this holds for the grammar, seems to hold for text, and
    is an assumption elsewhere. Only step sizes are chosen from this curve; no price is computed from it. Without it
    the sizes follow the noise, and on `docs-base` 16 and more of them cost more than equal steps.
    """
    return convex(np.mean([resample(curve, length) for curve in curves], axis=0))


def convex(values: np.ndarray) -> np.ndarray:
    """A falling convex sequence near `values`, with their mean: fitted to fall, its slopes then fitted to rise."""
    from scipy.optimize import isotonic_regression  # takes half a second, and few jobs need it

    falling = isotonic_regression(values, increasing=False).x
    fitted = np.concatenate([[0.0], np.cumsum(isotonic_regression(np.diff(falling)).x)])
    return fitted + (falling - fitted).mean()


def summarise(records: pd.DataFrame, steps: int, seed: int = 0) -> str:
    """What `steps` parallel steps cost per answer and which step sizes cost least, without and with padding."""
    titles = {"answer": "answers only", "padded": "answers with their padding"}
    summaries = [f"{titles[mode]}: {_summary(rows, steps, seed)}" for mode, rows in by_mode(records).items()]
    return "\n\n".join(summaries)


def _summary(records: pd.DataFrame, steps: int, seed: int) -> str:
    """A few lines for a reader, of records of one mode; what a single answer cannot tell is left out."""
    curves = prompt_curves(records)
    lengths = sorted(map(len, curves.values()))
    longer = [length for length in lengths if length > steps] or lengths[-1:]
    length = longer[len(longer) // 2]  # the median of the lengths that leave a choice
    table = price_table(curves, [steps], seed).set_index("schedule")
    best = optimal_steps(convex_mean(curves.values(), length), min(steps, length))

    single = len(curves) < FEWEST

    def loss(schedule: str) -> str:
        row = table.loc[schedule]
        return f"{row['value']:.3g}" + ("" if single else f" ± {(row['high'] - row['low']) / 2:.2g}")

    alike = lengths[0] == lengths[-1]
    spans = f"{length} tokens" if alike else f"{lengths[0]} to {lengths[-1]} tokens"
    about = "no interval from 1 answer" if single else "± half a 95 % interval"
    lost = "fit this answer alone, what others lose is unknown" if single else f"lose {loss('optimal')}"
    lines = [
        f"{len(curves)} answer{'' if single else 's'} of {spans}, {any_order_nll(records).mean():.4g} nats each one "
        "token at a time",
        f"at {steps} steps you lose {loss('uniform')} nats per answer (equal steps; {about})",
        *(f"  {name}: {loss(name)}" for name in table.index if name not in ("uniform", "optimal")),
        f"these step sizes {lost}: {' '.join(map(str, best))}" + ("" if alike else f" (for {length} tokens)"),
    ]
    return "\n".join(lines)


@entry_point()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the summary of a table of curve records."""
    parser = argparse.ArgumentParser(prog="python -m discreteness.curves.price", description=__doc__.splitlines()[0])
    parser.add_argument("table", help="Parquet table of an information curve")
    parser.add_argument("--steps", type=count, default=16, help="parallel steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap and the halves (default: %(default)s)")
    options = parser.parse_args(arguments)
    columns = ["prompt_id", "padding", "replicate", "visible", "span", "weight", "position", "answer_logprob"]
    records = read_table(options.table, columns)
    if records.empty:
        raise InputError(f"{options.table}: no rows")
    print(summarise(records, options.steps, options.seed))


if __name__ == "__main__":
    main()
