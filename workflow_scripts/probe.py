"""Probe a model on a data set's prompts, or on one shard of them, or join the shards."""

import json
import time
from functools import reduce
from operator import add
from pathlib import Path

from discreteness.core.errors import InputError
from discreteness.core.io import join_tables, read_table, write_json, write_table
from discreteness.datasets.prompts import select_prompts, take_shard
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.probing.probe import prepare, probe
from discreteness.probing.records import joined_provenance, joined_speed, speed
from discreteness.probing.sums import Sums, read_sums, write_sums
from discreteness.workflow.jobs import job, parameters, peak_memory, use_threads, write_provenance


def information(sums: Sums, wildcards):
    """Prompt information by position; InputError where every prompt was skipped."""
    if not sums.prompts.sum():
        raise InputError(f"{wildcards.dataset}: no prompt fits the context of {wildcards.model}")
    return sums.information()


def main(input, output, params, config, wildcards, log) -> None:
    """Load the model once, probe the prompts, write what was measured: a shard its sums, else prompt information."""
    use_threads(params.threads)
    settings = params.probe
    span, top_k = settings["span"], settings["top_k"]
    rows = read_table(input.prompts)
    selected = select_prompts(rows, prompts=settings["prompts"], example=settings["example"], seed=params.seed)
    chosen = take_shard(selected, params.shard)
    start = time.perf_counter()
    denoiser = load_model(input.model, params.row, config)
    load_seconds = time.perf_counter() - start
    log.info("%s on %s, %d of %d prompts", Path(input.model).parent.name, denoiser.device, len(chosen), len(selected))
    task = prepare(denoiser, rows, chosen, span=span, top_k=top_k, seed=params.seed, long_prompts=params.long_prompts)
    start = time.perf_counter()
    positions, tokens, sums = probe(denoiser, task, span=span, top_k=top_k, batch_tokens=settings["batch_tokens"])
    probe_seconds = time.perf_counter() - start
    if output.get("sums"):
        write_sums(sums, output.sums)
    else:
        write_table(information(sums, wildcards), output.information)
    write_table(positions, output.positions)
    write_table(tokens, output.tokens)
    write_provenance(
        output.provenance,
        model=read_json(input.model),
        row=params.row,
        probe=settings,
        seed=params.seed,
        threads=params.threads,
        device=str(denoiser.device),
        notes=list(denoiser.notes),
        skipped=task.skipped,
    )
    record = speed(
        device=str(denoiser.device),
        load_seconds=load_seconds,
        probe_seconds=probe_seconds,
        prompts=len(task.prompts),
        tokens=denoiser.canvases * sum(len(prompt) + (denoiser.canvas_length or span) for prompt in task.prompts),
        peak_memory_gb=peak_memory(denoiser.device) / 1e9,
    )
    write_json(record, output.speed)


def read_json(path: str) -> dict:
    """The object of a JSON file."""
    return json.loads(Path(path).read_text())


def join(input, output, wildcards) -> None:
    """Put the shards together."""
    sums = reduce(add, map(read_sums, input.sums_parts))
    write_table(information(sums, wildcards), output.information)
    join_tables(input.parts, output.positions)
    join_tables(input.token_parts, output.tokens)
    write_json(joined_provenance(list(map(read_json, input.provenance_parts))), output.provenance)
    write_json(joined_speed(list(map(read_json, input.speed_parts))), output.speed)


with job(snakemake.log[0]) as log:  # noqa: F821
    input, output, wildcards = snakemake.input, snakemake.output, snakemake.wildcards  # noqa: F821
    if input.get("parts"):
        join(input, output, wildcards)
    else:
        main(input, output, parameters(snakemake), snakemake.config, wildcards, log)  # noqa: F821
