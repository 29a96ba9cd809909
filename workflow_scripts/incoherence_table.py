"""What decoding in fewer steps does to the answers of every model, and the worst combinations it made."""

from pathlib import Path

import pandas as pd

from discreteness.coherence.incoherence import JUDGE_BOUND, incoherence, with_judge
from discreteness.coherence.text import bigrams, words
from discreteness.core.io import read_csv, read_rows, read_table, write_csv
from discreteness.workflow.jobs import job, parameters


def main(input, output, params, log) -> None:
    """Read the decodings, rescored and judged answers by model and decoder; write both tables."""
    pairs = [(model, decoder) for model in params.models for decoder in params.decoders]
    judged = [read_table(path) for path in input.judged] or [None] * len(pairs)
    tables = dict(zip(pairs, zip(map(read_rows, input.answers), map(read_table, input.rescored), judged, strict=True)))  # noqa: B905
    texts = {Path(path).stem: path for path in input.training}
    seen: dict[str, set] = {}
    frames, examples = [], []
    for model in params.models:
        data = params.training.get(model)
        if data is not None and data not in seen:
            seen[data] = bigrams(words(answer) for answer in read_table(texts[data], ["answer"])["answer"])
        found = {decoder: tables[model, decoder] for decoder in params.decoders}
        frame = incoherence(found, seen.get(data), params.seed, params.adaptive)
        frame.insert(0, "model", model)
        frames.append(frame)
    for (model, decoder), path in zip(pairs, input.examples, strict=True):
        frame = read_csv(path)
        frame.insert(0, "model", model)
        frame.insert(1, "decoder", decoder)
        examples.append(frame)
    table = with_judge(pd.concat(frames, ignore_index=True), params.judge)
    if (table["judge_fits"] == "no").any():
        log.warning(
            "%s is no judge of this text: its perplexity of the references is over %g", params.judge, JUDGE_BOUND
        )
    write_csv(table, output.table)
    write_csv(pd.concat(examples, ignore_index=True), output.examples)


with job(snakemake.log[0]) as log:  # noqa: F821
    main(snakemake.input, snakemake.output, parameters(snakemake), log)  # noqa: F821
