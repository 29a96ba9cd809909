"""Download a model or a data set from the hub."""

from pathlib import Path

from discreteness.hub import download
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    row, kind = snakemake.params.row, snakemake.params.kind  # noqa: F821
    download(row["repo"], kind, row.get("revision"), Path(snakemake.output[0]).parent)  # noqa: F821
