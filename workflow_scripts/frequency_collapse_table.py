"""Aggregate the probes of every model on one data set."""

import pandas as pd

from discreteness.core.io import read_table, write_csv
from discreteness.probing.collapse import aggregate
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    frames = []
    params = parameters(snakemake)  # noqa: F821
    probes = zip(params.models, snakemake.input.positions, snakemake.input.information, strict=True)  # noqa: F821
    for model, positions, information in probes:
        frame = aggregate(read_table(positions), read_table(information), params.seed)
        frame.insert(0, "model", model)
        frame.insert(1, "dataset", snakemake.wildcards.dataset)  # noqa: F821
        frames.append(frame)
    write_csv(pd.concat(frames, ignore_index=True), snakemake.output[0])  # noqa: F821
