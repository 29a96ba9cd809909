"""Aggregate the probes of every model on one data set."""

import pandas as pd

from discreteness.core.io import read_table, write_csv
from discreteness.probing.collapse import aggregate
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    tables = []
    params, input = parameters(snakemake), snakemake.input  # noqa: F821
    for model, positions, information in zip(params.models, input.positions, input.information, strict=True):
        table = aggregate(read_table(positions), read_table(information), seed=params.seed)
        table.insert(0, "model", model)
        table.insert(1, "dataset", snakemake.wildcards.dataset)  # noqa: F821
        tables.append(table)
    write_csv(pd.concat(tables, ignore_index=True), snakemake.output[0])  # noqa: F821
