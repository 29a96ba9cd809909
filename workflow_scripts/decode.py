"""Decode answers with one decoder at every number of steps, or take the reference answers in their place."""

import numpy as np
import pandas as pd

from discreteness.core.io import join_tables, read_table, write_table
from discreteness.curves.price import convex_mean
from discreteness.curves.records import as_generated, prompt_curves
from discreteness.datasets.prompts import fit_prompts, select_prompts, take_shard
from discreteness.decoding.loop import decode
from discreteness.decoding.rows import REFERENCE, variants
from discreteness.decoding.tables import DECODED_COLUMNS, answers_table, references_table
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads


def measured_curve(path: str, span: int) -> np.ndarray:
    """The model's mean information curve over `span` positions, from the records of its reference answers."""
    return convex_mean(prompt_curves(as_generated(read_table(path))).values(), span)


def main(input, output, params, config, decoder: str, log) -> None:
    """Load the model once, answer every prompt with each variant of the decoder's row."""
    use_threads(params.threads)
    rows = read_table(input.prompts)
    selected = select_prompts(rows, prompts=params.prompts, example=params.example, seed=params.seed)
    denoiser = load_model(input.model, params.row, config)
    span = params.span or max(len(denoiser.encode_answer(answer)) for answer in rows["answer"])
    chosen, prompts = fit_prompts(
        denoiser, take_shard(selected, params.shard), lengths=span, long_prompts=params.long_prompts
    )
    if decoder == REFERENCE:
        write_table(references_table(denoiser, chosen, span), output[0])
        return
    prompt_ids = list(chosen["prompt_id"])
    curve = measured_curve(input.curve, span) if input.curve else None
    tables = []
    for policy in variants(params.decoder, params.steps, params.temperatures, curve=curve, span=span):
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
        tables.append(answers_table(denoiser, prompt_ids, decoded, policy))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=DECODED_COLUMNS)
    write_table(table, output[0])


with job(snakemake.log[0]) as log:  # noqa: F821
    input, output = snakemake.input, snakemake.output  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output[0])
    else:
        decoder = snakemake.wildcards.decoder  # noqa: F821
        main(input, output, parameters(snakemake), snakemake.config, decoder, log)  # noqa: F821
