"""Perplexity of decoded answers under an autoregressive model."""

from pathlib import Path

import pandas as pd

from discreteness import offline  # noqa: F401
from discreteness.coherence import generative_perplexity
from discreteness.denoisers import load_denoiser
from discreteness.io import read_table, write_table
from discreteness.jobs import job, use_threads

with job(snakemake.log[0]):  # noqa: F821
    params, input = snakemake.params, snakemake.input  # noqa: F821
    use_threads(params.threads)
    judge = load_denoiser({**params.row, "path": Path(input.model).parent}, snakemake.config["device"])  # noqa: F821
    prompts = read_table(input.prompts).set_index("prompt_id")["prompt"]
    answers = read_table(input.answers, ["prompt_id", "sample", "steps", "temperature", "text"])
    asked = [prompts[prompt_id] for prompt_id in answers["prompt_id"]]
    judged = generative_perplexity(judge, asked, list(answers["text"]), params.batch_tokens)
    write_table(pd.concat([answers.drop(columns="text"), judged], axis=1), snakemake.output[0])  # noqa: F821
