"""Download a model or a data set from the hub."""

from pathlib import Path

from discreteness.core.io import write_json
from discreteness.hub.download import download
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    record = download(params.row["repo"], params.kind, params.row.get("revision"), Path(snakemake.output[0]).parent)  # noqa: F821
    # the row, from which the rules know whether the downloaded files are still those that it names
    write_json({**record, "asked": params.row}, snakemake.output[0])  # noqa: F821
