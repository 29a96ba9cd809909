"""Join the shards of a probe and turn their sums into prompt information."""

import shutil
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import torch

from discreteness.io import atomic, read_table, write_table
from discreteness.jobs import job
from discreteness.probing import Sums


def load_sums(path: str) -> Sums:
    """The sums a shard wrote (plain arrays, no pickle)."""
    with np.load(path, allow_pickle=False) as arrays:
        return Sums(torch.from_numpy(arrays["probability"]), arrays["entropy"], arrays["prompts"])


with job(snakemake.log[0]):  # noqa: F821
    for kind in ("positions", "tokens"):
        shards = [read_table(path) for path in snakemake.input[kind]]  # noqa: F821
        write_table(pd.concat(shards, ignore_index=True), snakemake.output[kind])  # noqa: F821
    sums = reduce(add, map(load_sums, snakemake.input.sums))  # noqa: F821
    write_table(sums.information(), snakemake.output.information)  # noqa: F821
    with atomic(snakemake.output.provenance) as temporary:  # noqa: F821
        shutil.copyfile(snakemake.input.provenance[0], temporary)  # noqa: F821
