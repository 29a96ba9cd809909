"""How predictions collapse with distance from the prompt: per-position aggregates with intervals over prompts."""

import numpy as np
import pandas as pd

from discreteness.core.columns import POSITIONS
from discreteness.core.errors import InputError
from discreteness.core.statistics import FEWEST, bootstrap_mean, jackknife_interval
from discreteness.core.token_classes import CLASSES

ROUNDING = 1e-6  # nats of prompt information that can be a rounding error of float32 sums

# statistic, variant -> column of the positions table
MEANS = {
    (name.removesuffix(f"_{column.variant}"), column.variant): name
    for name, column in POSITIONS.items()
    if column.variant is not None
}
CLASS_COLUMNS = {"all": "top1_class", "without_eos": "top1_class_without_eos"}


def aggregate(positions: pd.DataFrame, information: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All aggregates of one model on one data set, tidy.

    Columns position, statistic, variant, token_class, value, low, high, prompts.

    positions, information: the tables of a probe. value, low, high: mean and 95 % interval; a bootstrap over prompts,
    for prompt information a delete-one-group jackknife. `collapse_point` has a value in tokens and no interval.
    Smallest numbers of prompts: 1 for a mean, FEWEST for its interval; for prompt information see `_information_rows`.
    """
    order = positions["prompt_id"].drop_duplicates()

    def matrix(values: pd.Series) -> np.ndarray:  # (prompts, span)
        frame = positions.assign(value=values).pivot(index="prompt_id", columns="position", values="value")
        return frame.loc[order].to_numpy(np.float64)

    series = {(*name, ""): matrix(positions[column]) for name, column in MEANS.items()}
    series["answer_nll", "", ""] = matrix(-positions["answer_logprob"])
    series["usable_information", "", ""] = matrix(positions["answer_logprob"] - positions["positional_logprob"])
    series["answer_top1", "", ""] = matrix((positions["top1_token_id"] == positions["answer_token_id"]).astype(float))
    for variant, column in CLASS_COLUMNS.items():
        for name in CLASSES:
            if not (variant == "without_eos" and name == "special"):
                series["class_share", variant, name] = matrix((positions[column] == name).astype(float))
    frames = [
        _rows(statistic, variant, token_class, *bootstrap_mean(values, seed))
        for (statistic, variant, token_class), values in series.items()
    ]
    distinct = positions.groupby("position")["top1_token_id"].nunique().to_numpy()
    frames.append(_rows("distinct_top1", "", "", distinct, np.nan, np.nan))
    frames.extend(_information_rows(information))
    return pd.concat(frames, ignore_index=True).assign(prompts=len(order))


def _rows(statistic: str, variant: str, token_class: str, value, low, high) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "position": pd.array(np.arange(len(value)), dtype="Int64"),
            "statistic": statistic,
            "variant": variant,
            "token_class": token_class,
            "value": value,
            "low": low,
            "high": high,
        }
    )


def _information_rows(information: pd.DataFrame) -> list[pd.DataFrame]:
    """Prompt information with its jackknife interval, and its collapse point.

    With a single prompt the information is 0 by construction, so it is NaN here. The value needs FEWEST prompts; the
    interval needs two groups, and FEWEST prompts with each group left out.
    """
    table = information.pivot(index="left_out", columns="position", values="prompt_information")
    prompts = information.groupby("left_out")["prompts"].first()
    full, left_out = table.loc[-1].to_numpy(), table.drop(index=-1).to_numpy()
    if prompts[-1] < FEWEST:
        full = np.full_like(full, np.nan)
    low, high = jackknife_interval(full, left_out if prompts.min() >= FEWEST else left_out[:0])
    place = collapse_point(full)
    # the position where a curve crosses a threshold is not smooth in the prompts, so the jackknife gives no interval
    point = _rows("collapse_point", "", "", np.array([np.nan if place is None else place]), np.nan, np.nan)
    point["position"] = pd.NA
    return [_rows("prompt_information", "", "", full, low, high), point]


def collapse_point(information, share: float = 0.1) -> int | None:
    """First position from which `information` (one value per position) stays below `share` of its maximum, or None.

    Also None where no value exceeds ROUNDING: there is no information that could collapse.
    """
    values = list(information)
    if not max(values) > ROUNDING:
        return None
    limit = share * max(values)
    point = None
    for position in reversed(range(len(values))):
        if values[position] >= limit:
            break
        point = position
    return point


def top3(tokens: pd.DataFrame, positions: pd.DataFrame, prompt: pd.Series) -> pd.DataFrame:
    """One prompt's most probable tokens at every position, with the position's entropy and reference token.

    prompt: its row of the prompts table. Raises InputError for a prompt that the probe skipped.
    """
    of_prompt = tokens[tokens["prompt_id"] == prompt["prompt_id"]]
    if of_prompt.empty:
        raise InputError(
            f"prompt {prompt['prompt_id']}: the example of the top-3 figure does not fit the model's context and was "
            "skipped; name another row as `probe.example` or in the data set's row, or use `long_prompts: truncate`"
        )
    about = positions[positions["prompt_id"] == prompt["prompt_id"]][["position", "entropy", "answer_token"]]
    return of_prompt.merge(about, on="position", how="left", validate="many_to_one").assign(prompt=prompt["prompt"])
