"""Recoverable information by position, distance, mask ratio and class, its spread, and the cost of salient words."""

import pandas as pd

from discreteness.core.io import read_rows, read_table, write_csv
from discreteness.curves.views import recoverable_information, salience_table, spread
from discreteness.workflow.jobs import job, parameters

COLUMNS = ["model", "padding", "view", "variant", "group", "value", "low", "high", "prompts", "tokens"]


def rows_of(records: pd.DataFrame, salient: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All views of one model's records."""
    frames = [recoverable_information(records, seed)]
    unequal = spread(records, seed).rename(columns={"statistic": "variant", "mask_ratio": "group"})
    frames.append(unequal.assign(view="spread"))
    if len(salient):
        costs = salience_table(salient, seed).rename(columns={"statistic": "variant", "token_class": "group"})
        frames.append(costs.assign(view="salience", padding=bool(salient["padding"].iloc[0])))
    return pd.concat(frames, ignore_index=True)


with job(snakemake.log[0]):  # noqa: F821
    params, input = parameters(snakemake), snakemake.input  # noqa: F821
    tables = [
        rows_of(read_rows(curve), read_table(salient), params.seed).assign(model=model)
        for model, curve, salient in zip(params.models, input.curves, input.salience, strict=True)
    ]
    write_csv(pd.concat(tables, ignore_index=True)[COLUMNS], snakemake.output[0])  # noqa: F821
