"""What each number of parallel steps costs, from the information curve, with exact and measured values to compare."""

import pandas as pd

from discreteness.core.io import read_csv, read_rows, write_csv
from discreteness.curves.report import PRICE_COLUMNS, exact_prices, prices_of_records
from discreteness.languages import get_language
from discreteness.languages.language import exact_curve
from discreteness.workflow.jobs import job, parameters


def measured(path: str) -> pd.DataFrame:
    """Regret and perplexity of the decoded answers, with the model."""
    table = read_csv(path)
    table = table[table["statistic"].isin(["regret", "perplexity"])]
    return table.rename(columns={"decoder": "schedule", "answers": "prompts"}).assign(padding=True)


def sampled(path: str, model: str) -> pd.DataFrame:
    """Prices of a language estimated from sampled sentences and orders."""
    table = read_csv(path)
    table = table[table["statistic"] == "sampled_kl"].rename(columns={"samples": "prompts"})
    return table.assign(model=model, padding=True, statistic="sampled", schedule="uniform")


def main(input, output, params) -> None:
    """Predicted prices of every model, then the exact and measured values to compare with."""
    frames = [
        prices_of_records(read_rows(path), params.steps, params.seed).assign(model=model)
        for model, path in zip(params.models, input.curves, strict=True)
    ]
    if params.language:
        exact = exact_prices(exact_curve(get_language(params.language)), params.steps)
        frames += [exact.assign(model=model, padding=True) for model in params.oracles]
        frames += [sampled(path, model) for model, path in zip(params.models, input.sampled, strict=True)]
    frames += [measured(path) for path in input.incoherence]
    write_csv(pd.concat(frames, ignore_index=True)[["model", *PRICE_COLUMNS]], output[0])


with job(snakemake.log[0]):  # noqa: F821
    main(snakemake.input, snakemake.output, parameters(snakemake))  # noqa: F821
