"""Link a model into results/models: its checkpoint, verified against the hashes in its row, or an oracle's name."""

from pathlib import Path

from discreteness.core.io import write_json
from discreteness.hub.checkpoint_folder import link_checkpoint
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    params, output = parameters(snakemake), Path(snakemake.output[0])  # noqa: F821
    if "language" in params.row:  # computed, from no checkpoint
        write_json({"oracle": params.row["language"]}, output)
    else:
        link_checkpoint(Path(params.source), output.parent, params.row.get("sha256", {}))
