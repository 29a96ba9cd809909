"""Probe a model on one shard of a data set's prompts."""

import json
import time
from pathlib import Path

import numpy as np

from discreteness.core.io import atomic, read_table, write_json, write_table
from discreteness.datasets.selection import select_prompts, take_shard
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.probing.probe import prepare, probe
from discreteness.workflow.jobs import job, parameters, peak_memory, use_threads, write_provenance


def main(input, output, params, config, log) -> None:
    """Load the model once, probe the shard's prompts, write positions, tokens, sums, provenance and speed."""
    use_threads(params.threads)
    settings = params.probe
    rows = read_table(input.prompts)
    chosen = select_prompts(rows, settings["prompts"], settings["example"], params.seed)
    mine = take_shard(chosen, params.shard)
    start = time.perf_counter()
    denoiser = load_model(input.model, params.row, config)
    loaded = time.perf_counter()
    log.info("%s on %s, %d of %d prompts", Path(input.model).parent.name, denoiser.device, len(mine), len(chosen))
    task = prepare(denoiser, rows, mine, settings["span"], settings["top_k"], params.seed, params.long_prompts)
    prepared = time.perf_counter()
    positions, tokens, sums = probe(denoiser, task, settings["span"], settings["top_k"], settings["batch_tokens"])
    seconds = time.perf_counter() - prepared
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
        notes=list(denoiser.notes),
        skipped=task.skipped,
    )
    states = sum(len(prompt) + (denoiser.canvas_length or settings["span"]) for prompt in task.prompts)
    write_json(
        {
            "device": str(denoiser.device),
            "load_seconds": round(loaded - start, 3),
            "probe_seconds": round(seconds, 3),
            "prompts": len(task.prompts),
            "tokens": states * denoiser.canvases,
            "tokens_per_second": round(states * denoiser.canvases / seconds, 1),
            "peak_memory_gb": round(peak_memory(denoiser.device) / 1e9, 3),
        },
        output.speed,
    )


with job(snakemake.log[0]) as log:  # noqa: F821
    main(snakemake.input, snakemake.output, parameters(snakemake), snakemake.config, log)  # noqa: F821
