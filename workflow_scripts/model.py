"""Put a model's checkpoint under results/models, checked against the hashes its row states."""

from pathlib import Path

from discreteness.checkpoint_folder import link_checkpoint
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    link_checkpoint(
        Path(snakemake.params.source),  # noqa: F821
        Path(snakemake.output[0]).parent,  # noqa: F821
        snakemake.params.row.get("sha256", {}),  # noqa: F821
    )
