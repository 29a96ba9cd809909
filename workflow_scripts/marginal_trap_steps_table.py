"""Invalid sentences by kind, diversity and price against the number of steps, for every model and decoder."""

import pandas as pd

from discreteness.core.io import read_csv, read_table, write_csv
from discreteness.languages import get_language
from discreteness.trap.sentences import sentence_table
from discreteness.workflow.jobs import job, parameters


def main(input, output, params) -> None:
    """One frame for each model and decoder, then the prices of random order."""
    language = get_language(params.language)
    frames = []
    pairs = [(model, decoder) for model in params.models for decoder in params.decoders]
    for (model, decoder), path in zip(pairs, input.answers, strict=True):
        answers = read_table(path)
        if decoder in params.adaptive:
            answers["steps"] = round(answers["forward_passes"].mean())
        frames.append(sentence_table(language, answers).assign(model=model, decoder=decoder))
    for model, path in zip(params.models, input.prices, strict=True):
        frames.append(read_csv(path).assign(model=model, decoder="random", temperature=1.0))
    columns = ["model", "decoder", "temperature", "steps", "statistic", "value", "low", "high", "samples"]
    write_csv(pd.concat(frames, ignore_index=True)[columns], output[0])


with job(snakemake.log[0]):  # noqa: F821
    main(snakemake.input, snakemake.output, parameters(snakemake))  # noqa: F821
