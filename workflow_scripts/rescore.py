"""Score the decoded tokens again, given each other and given the finished answer; list the worst combinations."""

from pathlib import Path

import pandas as pd

from discreteness import offline, token_classes  # noqa: F401
from discreteness.coherence.rescoring import rescore
from discreteness.coherence.summaries import worst_combinations
from discreteness.denoisers import load_denoiser
from discreteness.io import join_tables, read_table, write_csv, write_table
from discreteness.jobs import job, parameters, use_threads
from discreteness.selection import answers_of_shard

EXAMPLES = ["steps", "temperature", "prompt_id", "sample", "position", "step", "step_size", "regret", "token", "text"]


def worst(denoiser, answers: pd.DataFrame, table: pd.DataFrame, k: int) -> pd.DataFrame:
    """The k worst combinations at each number of steps and temperature."""
    texts, _ = token_classes.vocabulary(denoiser)
    frames = [pd.DataFrame(columns=EXAMPLES)]
    for (steps, temperature), part in table.dropna(subset="regret").groupby(["steps", "temperature"]):
        same = answers[(answers["steps"] == steps) & (answers["temperature"] == temperature)]
        found = worst_combinations(part, same, texts, k)
        if len(found):
            frames.append(found.assign(steps=steps, temperature=temperature)[EXAMPLES])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def main(input, output, params, device: str) -> None:
    """Load the model once; score, list, write."""
    use_threads(params.threads)
    denoiser = load_denoiser({**params.row, "path": Path(input.model).parent}, device)
    rows = read_table(input.prompts).set_index("prompt_id")["prompt"]
    answers = answers_of_shard(read_table(input.answers), params.shard)
    prompts = {prompt_id: denoiser.encode_prompt(rows[prompt_id]) for prompt_id in answers["prompt_id"].unique()}
    table = rescore(denoiser, answers, prompts, params.batch_tokens, params.rescored, params.seed, params.recompute)
    write_table(table, output.tokens)
    write_csv(worst(denoiser, answers, table, params.examples), output.examples)


def join_examples(paths: list[str], k: int) -> pd.DataFrame:
    """The k worst combinations of all shards at each number of steps and temperature."""
    found = pd.concat([pd.read_csv(path, keep_default_na=False) for path in paths], ignore_index=True)
    order = found.sort_values(["steps", "temperature", "regret", "prompt_id"], ascending=[True, True, False, True])
    return order.groupby(["steps", "temperature"], dropna=False).head(k)[EXAMPLES]


with job(snakemake.log[0]):  # noqa: F821
    input, output, params = snakemake.input, snakemake.output, parameters(snakemake)  # noqa: F821
    if input.get("parts"):
        join_tables(input.parts, output.tokens)
        write_csv(join_examples(input.example_parts, params.examples), output.examples)
    else:
        main(input, output, params, snakemake.config["device"])  # noqa: F821
