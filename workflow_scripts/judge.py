"""Perplexity of decoded answers under an autoregressive model."""

from pathlib import Path

import pandas as pd

from discreteness import offline  # noqa: F401
from discreteness.coherence.judge import generative_perplexity
from discreteness.denoisers import load_denoiser
from discreteness.io import join_tables, read_table, write_table
from discreteness.jobs import job, parameters, use_threads
from discreteness.selection import answers_of_shard


def main(input, output, params, device: str) -> None:
    """Load the judge once; score every answer behind its prompt."""
    use_threads(params.threads)
    judge = load_denoiser({**params.row, "path": Path(input.model).parent}, device)
    prompts = read_table(input.prompts).set_index("prompt_id")["prompt"]
    answers = read_table(input.answers, ["prompt_id", "sample", "steps", "temperature", "text"])
    answers = answers_of_shard(answers, params.shard)
    asked = [prompts[prompt_id] for prompt_id in answers["prompt_id"]]
    judged = generative_perplexity(judge, asked, list(answers["text"]), params.batch_tokens)
    write_table(pd.concat([answers.drop(columns="text"), judged], axis=1), output[0])


with job(snakemake.log[0]):  # noqa: F821
    if snakemake.input.get("parts"):  # noqa: F821
        join_tables(snakemake.input.parts, snakemake.output[0])  # noqa: F821
    else:
        main(snakemake.input, snakemake.output, parameters(snakemake), snakemake.config["device"])  # noqa: F821
