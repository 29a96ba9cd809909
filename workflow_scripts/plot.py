"""Draw a figure from its table, with the module of `discreteness.figures` that has the figure's name."""

from importlib import import_module

from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job, parameters


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        params = parameters(snakemake)
        # By name: the rule's fingerprint is then of this figure's code, not of that of all figures.
        module = import_module(f"discreteness.figures.{params.figure}")
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, module.COLUMNS)
        save_figure(module.draw(table, **params.draw), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
