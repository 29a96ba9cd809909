"""Score the decoded tokens again, given each other and given the finished answer; list the worst combinations."""

import pandas as pd

from discreteness.coherence.rescoring import rescore
from discreteness.coherence.summaries import worst_combinations
from discreteness.core import token_classes
from discreteness.core.io import join_tables, read_csv, read_table, write_csv, write_table
from discreteness.datasets.prompts import answers_of_shard, fit_prompts
from discreteness.decoding.rows import forbidden_ids
from discreteness.denoisers import load_model
from discreteness.hub import offline  # noqa: F401
from discreteness.workflow.jobs import job, parameters, use_threads

EXAMPLES = ["steps", "temperature", "prompt_id", "sample", "position", "step", "step_size", "regret", "token", "text"]


def worst_by_variant(denoiser, answers: pd.DataFrame, table: pd.DataFrame, k: int) -> pd.DataFrame:
    """EXAMPLES: the k worst combinations at each number of steps and temperature."""
    texts, _ = token_classes.vocabulary(denoiser)
    examples = []
    for (steps, temperature), tokens in table.dropna(subset="regret").groupby(["steps", "temperature"]):
        same = answers[(answers["steps"] == steps) & (answers["temperature"] == temperature)]
        worst = worst_combinations(tokens, same, texts, k)
        if len(worst):
            examples.append(worst.assign(steps=steps, temperature=temperature)[EXAMPLES])
    return pd.concat(examples, ignore_index=True) if examples else pd.DataFrame(columns=EXAMPLES)


def join_examples(paths: list[str], k: int) -> pd.DataFrame:
    """The k worst combinations of all shards at each number of steps and temperature."""
    examples = pd.concat([read_csv(path) for path in paths], ignore_index=True)
    order = examples.sort_values(["steps", "temperature", "regret", "prompt_id"], ascending=[True, True, False, True])
    return order.groupby(["steps", "temperature"], dropna=False).head(k)[EXAMPLES]


def main(input, output, params, config) -> None:
    """Load the model once; score, list, write."""
    use_threads(params.threads)
    denoiser = load_model(input.model, params.row, config)
    answers = answers_of_shard(read_table(input.answers), params.shard)
    rows = read_table(input.prompts)
    rows = rows[rows["prompt_id"].isin(answers["prompt_id"])]
    span = max(map(len, answers["token_ids"]), default=0)
    rows, prompts = fit_prompts(denoiser, rows, lengths=span, long_prompts=params.long_prompts)
    table = rescore(
        denoiser,
        answers,
        prompts=dict(zip(rows["prompt_id"], prompts, strict=True)),
        batch_tokens=params.batch_tokens,
        rescored=params.rescored,
        seed=params.seed,
        recompute=params.recompute,
        forbidden=forbidden_ids({"forbid": params.forbid}, denoiser),
    )
    write_table(table, output.tokens)
    write_csv(worst_by_variant(denoiser, answers, table, k=params.examples), output.examples)


with job(snakemake.log[0]):  # noqa: F821
    input, output, params = snakemake.input, snakemake.output, parameters(snakemake)  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output.tokens)
        write_csv(join_examples(input.example_parts, params.examples), output.examples)
    else:
        main(input, output, params, snakemake.config)  # noqa: F821
