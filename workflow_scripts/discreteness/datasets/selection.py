"""Which prompts a job works on: those that are drawn, and its share of them."""

from collections.abc import Mapping

import pandas as pd

from discreteness.core.errors import InputError
from discreteness.core.randomness import key


def select_prompts(rows: pd.DataFrame, prompts: int, example: int, seed: int) -> pd.DataFrame:
    """The example row and `prompts` − 1 others (or all there are), drawn by key; in the order of the source."""
    if example not in set(rows["row"]):
        raise InputError(f"config: probe.example = {example} is not a row of the data set (it has {len(rows)} rows)")
    order = sorted(
        rows.index,
        key=lambda i: (rows.at[i, "row"] != example, key(seed, "prompts", rows.at[i, "prompt_id"])),
    )
    return rows.loc[sorted(order[:prompts])].reset_index(drop=True)


def take_shard(chosen: pd.DataFrame, shard: Mapping[str, int] | None) -> pd.DataFrame:
    """The chosen prompts of a shard, {number, size}; all of them where there is none."""
    if shard is None:
        return chosen
    start = shard["number"] * shard["size"]
    return chosen.iloc[start : start + shard["size"]].reset_index(drop=True)


def answers_of_shard(answers: pd.DataFrame, shard: Mapping[str, int] | None) -> pd.DataFrame:
    """The decoded answers to the prompts of a shard, as `take_shard` shares them out."""
    if shard is None:
        return answers
    mine = take_shard(answers[["prompt_id"]].drop_duplicates(), shard)["prompt_id"]
    return answers[answers["prompt_id"].isin(mine)].reset_index(drop=True)
