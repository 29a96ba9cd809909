"""Perplexity of decoded answers under an autoregressive model."""

import pandas as pd

from discreteness.coherence.judge import generative_perplexity
from discreteness.core.io import join_tables, read_table, write_table
from discreteness.datasets.prompts import answers_of_shard
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads


def main(input, output, params, config) -> None:
    """Load the judge once; score every answer after its prompt."""
    use_threads(params.threads)
    judge = load_model(input.model, params.row, config)
    prompts = read_table(input.prompts).set_index("prompt_id")["prompt"]
    answers = read_table(input.answers, ["prompt_id", "sample", "steps", "temperature", "text"])
    answers = answers_of_shard(answers, params.shard)
    judged = generative_perplexity(
        judge,
        prompt_ids=list(answers["prompt_id"]),
        prompts=[prompts[prompt_id] for prompt_id in answers["prompt_id"]],
        texts=list(answers["text"]),
        batch_tokens=params.batch_tokens,
        long_prompts=params.long_prompts,
    )
    write_table(pd.concat([answers.drop(columns="text"), judged], axis=1), output[0])


with job(snakemake.log[0]):  # noqa: F821
    input, output = snakemake.input, snakemake.output  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output[0])
    else:
        main(input, output, parameters(snakemake), snakemake.config)  # noqa: F821
