"""The example prompt's top predictions, for the paper's figure."""

from discreteness.core.io import read_table, write_csv
from discreteness.probing.collapse import top3
from discreteness.workflow.jobs import job, parameters

with job(snakemake.log[0]):  # noqa: F821
    input = snakemake.input  # noqa: F821
    prompts = read_table(input.prompts)
    example = prompts[prompts["row"] == parameters(snakemake).example].iloc[0]  # noqa: F821
    table = top3(read_table(input.tokens), read_table(input.positions), prompt=example)
    table.insert(0, "model", snakemake.wildcards.model)  # noqa: F821
    table.insert(1, "dataset", snakemake.wildcards.dataset)  # noqa: F821
    write_csv(table, snakemake.output[0])  # noqa: F821
