"""Aggregate the probes of every model on one data set."""

import pandas as pd

from discreteness.collapse import aggregate
from discreteness.io import read_table, write_csv
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    frames = []
    probes = zip(snakemake.params.models, snakemake.input.positions, snakemake.input.information, strict=True)  # noqa: F821
    for model, positions, information in probes:
        frame = aggregate(read_table(positions), read_table(information), snakemake.params.seed)  # noqa: F821
        frame.insert(0, "model", model)
        frame.insert(1, "dataset", snakemake.wildcards.dataset)  # noqa: F821
        frames.append(frame)
    write_csv(pd.concat(frames, ignore_index=True), snakemake.output[0])  # noqa: F821
