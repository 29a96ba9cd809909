"""Probe a model on one shard of a data set's prompts."""

import json
from pathlib import Path

import numpy as np

from discreteness.denoisers import load_denoiser
from discreteness.io import atomic, read_table, write_table
from discreteness.jobs import job, use_threads, write_provenance
from discreteness.probing import prepare, probe, select_prompts


def main(input, output, params, shard: int, device: str, log) -> None:
    """Load the model once, probe the shard's prompts, write positions, tokens, sums and provenance."""
    use_threads(params.threads)
    settings = params.probe
    rows = read_table(input.prompts)
    chosen = select_prompts(rows, settings["prompts"], settings["example"], params.seed)
    mine = chosen.iloc[shard * params.shard_size : (shard + 1) * params.shard_size].reset_index(drop=True)
    folder = Path(input.model).parent
    denoiser = load_denoiser({**params.row, "path": folder}, device)
    log.info("%s on %s, %d of %d prompts", folder.name, denoiser.device, len(mine), len(chosen))
    task = prepare(denoiser, rows, mine, settings["span"], settings["top_k"])
    positions, tokens, sums = probe(denoiser, task, settings["span"], settings["top_k"], settings["batch_tokens"])
    write_table(positions, output.positions)
    write_table(tokens, output.tokens)
    with atomic(output.sums) as temporary:
        np.savez(temporary, probability=sums.probability, entropy=sums.entropy, prompts=sums.prompts)
    write_provenance(
        output.provenance,
        model=json.loads(Path(input.model).read_text()),
        row=params.row,
        probe=settings,
        seed=params.seed,
        threads=params.threads,
        device=str(denoiser.device),
    )


with job(snakemake.log[0]) as log:  # noqa: F821
    shard, device = int(snakemake.wildcards.shard), snakemake.config["device"]  # noqa: F821
    main(snakemake.input, snakemake.output, snakemake.params, shard, device, log)  # noqa: F821
