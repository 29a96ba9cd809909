"""What decoding a known language in fewer steps costs: exact, from samples, and for the mixture over orders."""

from pathlib import Path

from discreteness.core.io import write_csv
from discreteness.denoisers import load_denoiser
from discreteness.hub import offline  # noqa: F401
from discreteness.languages import get_language
from discreteness.trap.exact import check_model, price_table
from discreteness.workflow.jobs import job, parameters, use_threads

with job(snakemake.log[0]):  # noqa: F821
    params = parameters(snakemake)  # noqa: F821
    use_threads(params.threads)
    denoiser = load_denoiser({**params.row, "path": Path(snakemake.input.model).parent}, "cpu")  # noqa: F821
    language = get_language(params.language)
    check_model(denoiser, language, f"config: language.models: {snakemake.wildcards.model}")  # noqa: F821
    table = price_table(denoiser, language, params.steps, params.sentences, params.seed)
    write_csv(table, snakemake.output[0])  # noqa: F821
