"""Every string of the toy languages with its probability under the data and under decoding in one step or more."""

from pathlib import Path

import pandas as pd

from discreteness.core.io import write_csv
from discreteness.denoisers import load_denoiser
from discreteness.hub import offline  # noqa: F401
from discreteness.languages import get_language
from discreteness.trap.exact import check_model, toy_table
from discreteness.workflow.jobs import job, parameters, use_threads

with job(snakemake.log[0]):  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    use_threads(1)
    folders = {Path(path).parent.name: Path(path).parent for path in snakemake.input.models}  # noqa: F821
    denoisers = {model: load_denoiser({**row, "path": folders[model]}, "cpu") for model, row in params.rows.items()}
    for language, models in params.toys.items():
        for model in models:
            check_model(denoisers[model], get_language(language), f"config: language.toys: {model}")
    frames = [
        toy_table(get_language(language), {model: denoisers[model] for model in models})
        for language, models in params.toys.items()
    ]
    write_csv(pd.concat(frames, ignore_index=True), snakemake.output[0])  # noqa: F821
