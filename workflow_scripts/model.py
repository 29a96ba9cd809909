"""Put a model under results/models: its checkpoint, checked against the hashes its row states, or an oracle's name."""

from pathlib import Path

from discreteness.checkpoint_folder import link_checkpoint
from discreteness.io import write_json
from discreteness.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    params, output = parameters(snakemake), Path(snakemake.output[0])  # noqa: F821
    if "language" in params.row:  # computed, from no checkpoint
        write_json({"oracle": params.row["language"]}, output)
    else:
        link_checkpoint(Path(params.source), output.parent, params.row.get("sha256", {}))
