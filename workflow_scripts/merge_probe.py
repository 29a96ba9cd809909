"""Join the shards of a probe and turn their sums into prompt information."""

import json
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from discreteness.core.errors import InputError
from discreteness.core.io import read_table, write_json, write_table
from discreteness.probing.probe import Sums
from discreteness.workflow.jobs import job


def load_sums(path: str) -> Sums:
    """The sums a shard wrote (plain arrays, no pickle)."""
    with np.load(path, allow_pickle=False) as arrays:
        return Sums(torch.from_numpy(arrays["probability"]), arrays["entropy"], arrays["prompts"])


def joined_provenance(paths: list[str]) -> dict:
    """The shards' common provenance, with the prompts that each skipped."""
    records = [json.loads(Path(path).read_text()) for path in paths]
    return {**records[0], "skipped": sorted(prompt_id for record in records for prompt_id in record["skipped"])}


with job(snakemake.log[0]):  # noqa: F821
    provenance = joined_provenance(snakemake.input.provenance)  # noqa: F821
    for kind in ("positions", "tokens"):
        shards = [read_table(path) for path in snakemake.input[kind]]  # noqa: F821
        write_table(pd.concat(shards, ignore_index=True), snakemake.output[kind])  # noqa: F821
    sums = reduce(add, map(load_sums, snakemake.input.sums))  # noqa: F821
    if not sums.prompts.sum():
        raise InputError(f"{snakemake.wildcards.dataset}: no prompt fits the context of {snakemake.wildcards.model}")  # noqa: F821
    write_table(sums.information(), snakemake.output.information)  # noqa: F821
    write_json(provenance, snakemake.output.provenance)  # noqa: F821
