"""Build a data set's prompts and reference answers."""

from discreteness.core.io import write_table
from discreteness.datasets import load_dataset
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]) as log:  # noqa: F821
    rows = load_dataset(snakemake.wildcards.dataset, parameters(snakemake).row)  # noqa: F821
    log.info("%d rows", len(rows))
    write_table(rows, snakemake.output[0])  # noqa: F821
