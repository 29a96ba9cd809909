"""Download a model or a data set from the hub."""

from pathlib import Path

from discreteness.hub import download
from discreteness.io import write_json
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    record = Path(snakemake.output[0])  # noqa: F821
    row = snakemake.params.row  # noqa: F821
    commit = download(row["repo"], snakemake.params.kind, row.get("revision"), record.parent)  # noqa: F821
    write_json({"repo": row["repo"], "revision": commit}, record)
