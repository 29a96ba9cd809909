"""Put a model under results/models: its checkpoint, checked against the hashes its row states, or an oracle's name."""

from pathlib import Path

from discreteness.checkpoint_folder import link_checkpoint
from discreteness.io import write_json
from discreteness.jobs import job

with job(snakemake.log[0]):  # noqa: F821
    row, output = snakemake.params.row, Path(snakemake.output[0])  # noqa: F821
    if "language" in row:  # computed, from no checkpoint
        write_json({"oracle": row["language"]}, output)
    else:
        link_checkpoint(Path(snakemake.params.source), output.parent, row.get("sha256", {}))  # noqa: F821
