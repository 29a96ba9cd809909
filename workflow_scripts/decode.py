"""Decode answers with one decoder at every number of steps, or take the reference answers in their place."""

import pandas as pd

from discreteness.core.io import join_tables, read_table, write_table
from discreteness.curves.price import convex_mean
from discreteness.curves.records import as_generated, prompt_curves
from discreteness.datasets.prompts import fit_prompts
from discreteness.datasets.selection import select_prompts, take_shard
from discreteness.decoding.loop import decode
from discreteness.decoding.rows import REFERENCE, variants
from discreteness.decoding.tables import DECODED_COLUMNS, answers_table, references_table
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads


def measured_curve(path: str, span: int):
    """The model's mean information curve over `span` positions, from the records of its reference answers."""
    return convex_mean(prompt_curves(as_generated(read_table(path))).values(), span)


def main(input, output, params, config, decoder: str, log) -> None:
    """Load the model once, answer every prompt with each variant of the decoder's row."""
    use_threads(params.threads)
    rows = read_table(input.prompts)
    chosen = take_shard(select_prompts(rows, params.prompts, params.example, params.seed), params.shard)
    denoiser = load_model(input.model, params.row, config)
    span = params.span or max(len(denoiser.encode_answer(answer)) for answer in rows["answer"])
    chosen, prompts = fit_prompts(denoiser, chosen, span, params.long_prompts)
    if decoder == REFERENCE:
        write_table(references_table(denoiser, chosen, span), output[0])
        return
    prompt_ids = list(chosen["prompt_id"])
    frames = [pd.DataFrame(columns=DECODED_COLUMNS)]
    curve = measured_curve(input.curve, span) if input.curve else None
    for policy in variants(params.decoder, params.steps, params.temperatures, curve, span):
        log.info("%s: %s", decoder, policy)
        decoded = decode(
            denoiser,
            prompts,
            policy,
            span=span,
            samples=params.samples,
            seed=params.seed,
            prompt_ids=prompt_ids,
            batch_tokens=params.batch_tokens,
            name=decoder,
        )
        frames.append(answers_table(denoiser, prompt_ids, decoded, policy))
    write_table(pd.concat(frames[1:], ignore_index=True), output[0])


with job(snakemake.log[0]) as log:  # noqa: F821
    decoder = snakemake.wildcards.decoder  # noqa: F821
    if snakemake.input.get("parts"):  # noqa: F821
        join_tables(snakemake.input.parts, snakemake.output[0])  # noqa: F821
    else:
        main(snakemake.input, snakemake.output, parameters(snakemake), snakemake.config, decoder, log)  # noqa: F821
