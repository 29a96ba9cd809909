"""Download a model or a data set from the hub."""

from pathlib import Path

from discreteness.hub import download
from discreteness.io import write_json
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    row, kind = snakemake.params.row, snakemake.params.kind  # noqa: F821
    record = download(row["repo"], kind, row.get("revision"), Path(snakemake.output[0]).parent)  # noqa: F821
    # by which the rules know that a row still asks for what is there
    write_json({**record, "asked": row}, snakemake.output[0])  # noqa: F821
