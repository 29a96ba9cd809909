"""Score reference answers with some of their tokens visible: the information curve, and which words carry it."""

from pathlib import Path

import pandas as pd

from discreteness import offline  # noqa: F401
from discreteness.curves import estimate, salience
from discreteness.denoisers import load_denoiser
from discreteness.errors import InputError
from discreteness.io import read_table, write_table
from discreteness.jobs import job, use_threads
from discreteness.probing import select_prompts


def main(input, output, params, device: str, log) -> None:
    """Load the model once; write the records of the curve and of the salience states."""
    use_threads(params.threads)
    rows = read_table(input.prompts)
    chosen = select_prompts(rows, params.prompts, params.example, params.seed)
    denoiser = load_denoiser({**params.row, "path": Path(input.model).parent}, device)
    frames, prepared = [], [estimate.prepare(denoiser, rows, chosen, params.span, mode) for mode in params.modes]
    for references in prepared:
        tables = estimate.information_curve(
            denoiser, references, params.seed, params.batch_tokens, params.replicates, params.levels
        )
        frames.append(estimate.collect(tables, references))
    write_table(pd.concat(frames, ignore_index=True), output.curve)
    references = prepared[0]
    try:
        states = salience.salience_states(denoiser, references, params.seed, params.salience)
    except InputError as error:  # a language of words without function words, say
        log.info("%s", error)
        states = []
    scored = estimate.score(denoiser, references, states, params.batch_tokens)
    write_table(estimate.collect(scored, references), output.salience)


with job(snakemake.log[0]) as log:  # noqa: F821
    main(snakemake.input, snakemake.output, snakemake.params, snakemake.config["device"], log)  # noqa: F821
