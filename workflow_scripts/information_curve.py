"""Score reference answers with some of their tokens visible: the information curve, and which words carry it."""

from collections.abc import Iterable

import pandas as pd

from discreteness.core.errors import InputError
from discreteness.core.io import join_tables, read_table, table_writer
from discreteness.curves.estimate import COLUMNS, in_order, measured_curve, prepare
from discreteness.curves.salience import mask_for_salience
from discreteness.datasets.prompts import select_prompts, take_shard
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads


def write_records(tables: Iterable[pd.DataFrame], path: str) -> None:
    """Write tables of COLUMNS below each other as they come."""
    with table_writer(path) as append:
        append(pd.DataFrame(columns=COLUMNS))
        for table in tables:
            append(table)


def main(input, output, params, config, log) -> None:
    """Load the model once; write the records of the curve and of the salience measurement."""
    use_threads(params.threads)
    rows = read_table(input.prompts)
    selected = select_prompts(rows, prompts=params.prompts, example=params.example, seed=params.seed)
    chosen = take_shard(selected, params.shard)
    denoiser = load_model(input.model, params.row, config)
    prepared = [
        prepare(denoiser, rows, chosen, span=params.span, mode=mode, long_prompts=params.long_prompts)
        for mode in params.modes
    ]
    curves = (
        measured_curve(
            denoiser,
            references,
            seed=params.seed,
            batch_tokens=params.batch_tokens,
            replicates=params.replicates,
            levels=params.levels,
        )
        for references in prepared
    )
    write_records((table for curve in curves for table in curve), output.curve)
    references = prepared[0]
    try:
        masked_answers = mask_for_salience(denoiser, references, seed=params.seed, ratio=params.salience)
    except InputError as error:  # for example, a language without function words
        log.info("%s", error)
        masked_answers = []
    write_records(in_order(denoiser, references, masked_answers, params.batch_tokens), output.salience)


with job(snakemake.log[0]) as log:  # noqa: F821
    input, output = snakemake.input, snakemake.output  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output.curve)
        join_tables(input.salience_parts, output.salience)
    else:
        main(input, output, parameters(snakemake), snakemake.config, log)  # noqa: F821
