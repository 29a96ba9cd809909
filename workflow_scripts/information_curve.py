"""Score reference answers with some of their tokens visible: the information curve, and which words carry it."""

import pandas as pd

from discreteness.core.errors import InputError
from discreteness.core.io import join_tables, read_table, table_writer
from discreteness.curves import estimate, salience
from discreteness.datasets.selection import select_prompts, take_shard
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads


def main(input, output, params, config, log) -> None:
    """Load the model once; write the records of the curve and of the salience states."""
    use_threads(params.threads)
    rows = read_table(input.prompts)
    chosen = take_shard(select_prompts(rows, params.prompts, params.example, params.seed), params.shard)
    denoiser = load_model(input.model, params.row, config)
    fitting = (rows, chosen, params.span)
    prepared = [estimate.prepare(denoiser, *fitting, mode, params.long_prompts) for mode in params.modes]
    with table_writer(output.curve) as append:
        append(pd.DataFrame(columns=estimate.COLUMNS))
        for references in prepared:
            measured = (references, params.seed, params.batch_tokens, params.replicates, params.levels)
            for table in estimate.measured_curve(denoiser, *measured):
                append(table)
    references = prepared[0]
    try:
        states = salience.salience_states(denoiser, references, params.seed, params.salience)
    except InputError as error:  # a language of words without function words, say
        log.info("%s", error)
        states = []
    with table_writer(output.salience) as append:
        append(pd.DataFrame(columns=estimate.COLUMNS))
        for table in estimate.in_order(denoiser, references, states, params.batch_tokens):
            append(table)


with job(snakemake.log[0]) as log:  # noqa: F821
    input, output = snakemake.input, snakemake.output  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output.curve)
        join_tables(input.salience_parts, output.salience)
    else:
        main(input, output, parameters(snakemake), snakemake.config, log)  # noqa: F821
