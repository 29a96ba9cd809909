"""Train a small model and write it in the layout of a published checkpoint."""

from pathlib import Path

from discreteness.core.io import read_table
from discreteness.training.loop import train
from discreteness.workflow.jobs import job, parameters, use_threads

with job(snakemake.log[0]) as log:  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    use_threads(params.threads)
    folder = Path(snakemake.output.record).parent  # noqa: F821
    rows = read_table(snakemake.input.prompts)  # noqa: F821
    log.info("training on %d rows", len(rows))
    train(rows, params.training, params.seed, folder, folder.with_name(f"{folder.name}.state"))
