"""How decoding in fewer steps changes the answers of every model, and its worst combinations of tokens."""

from pathlib import Path

import pandas as pd

from discreteness.coherence.incoherence import JUDGE_BOUND, incoherence, with_judge
from discreteness.coherence.text import bigrams, words
from discreteness.core.io import read_csv, read_rows, read_table, write_csv
from discreteness.workflow.jobs import job, parameters


def labelled(table: pd.DataFrame, **labels: str) -> pd.DataFrame:
    """The table with constant columns before its own."""
    for place, (name, value) in enumerate(labels.items()):
        table.insert(place, name, value)
    return table


def training_bigrams(path: str) -> set[tuple]:
    """The word bigrams of a training text's answers."""
    return bigrams(words(answer) for answer in read_table(path, ["answer"])["answer"])


def main(input, output, params, log) -> None:
    """Read the decodings, rescored and judged answers by model and decoder; write both tables."""
    pairs = [(model, decoder) for model in params.models for decoder in params.decoders]
    judged = [read_table(path) for path in input.judged] or [None] * len(pairs)
    tables = zip(map(read_rows, input.answers), map(read_table, input.rescored), judged, strict=True)
    table_of = dict(zip(pairs, tables, strict=True))
    texts = {Path(path).stem: path for path in input.training}
    seen = {data: training_bigrams(texts[data]) for data in set(params.training.values()) if data is not None}
    statistics = []
    for model in params.models:
        by_decoder = {decoder: table_of[model, decoder] for decoder in params.decoders}
        table = incoherence(
            by_decoder, seen=seen.get(params.training.get(model)), seed=params.seed, adaptive=params.adaptive
        )
        statistics.append(labelled(table, model=model))
    table = with_judge(pd.concat(statistics, ignore_index=True), params.judge)
    if (table["judge_fits"] == "no").any():
        log.warning(
            "%s is no judge of this text: its perplexity of the references is over %g", params.judge, JUDGE_BOUND
        )
    write_csv(table, output.table)
    examples = [
        labelled(read_csv(path), model=model, decoder=decoder)
        for (model, decoder), path in zip(pairs, input.examples, strict=True)
    ]
    write_csv(pd.concat(examples, ignore_index=True), output.examples)


with job(snakemake.log[0]) as log:  # noqa: F821
    main(snakemake.input, snakemake.output, parameters(snakemake), log)  # noqa: F821
