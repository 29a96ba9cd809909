"""Information kept at each noise level: exact for a known language; for every model, under masking."""

import pandas as pd

from discreteness.core.io import read_rows, write_csv
from discreteness.curves.smooth import smooth_corruption_of_language, smooth_corruption_of_records
from discreteness.languages import get_language
from discreteness.workflow.jobs import job, parameters, use_threads

with job(snakemake.log[0]):  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    use_threads(1)
    frames = []
    if params.language:
        exact = smooth_corruption_of_language(get_language(params.language), params.sentences, params.seed)
        frames.append(exact.assign(source=params.language, dataset=params.language))
    for (model, dataset), path in zip(params.pairs, snakemake.input.curves, strict=True):  # noqa: F821
        masked = smooth_corruption_of_records(read_rows(path), params.seed)
        frames.append(masked.assign(source=model, dataset=dataset))
    write_csv(pd.concat(frames, ignore_index=True), snakemake.output[0])  # noqa: F821
