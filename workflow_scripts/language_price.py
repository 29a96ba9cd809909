"""What decoding a known language in fewer steps costs: exact, estimated from samples, and of the sampler itself."""

from pathlib import Path

from discreteness import offline  # noqa: F401
from discreteness.denoisers import load_denoiser
from discreteness.io import write_csv
from discreteness.jobs import job, parameters, use_threads
from discreteness.languages import get_language
from discreteness.marginal_trap import check_model, price_table

with job(snakemake.log[0]):  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    use_threads(params.threads)
    denoiser = load_denoiser({**params.row, "path": Path(snakemake.input.model).parent}, "cpu")  # noqa: F821
    language = get_language(params.language)
    check_model(denoiser, language, f"config: language.models: {snakemake.wildcards.model}")  # noqa: F821
    table = price_table(denoiser, language, params.steps, params.sentences, params.seed)
    write_csv(table, snakemake.output[0])  # noqa: F821
