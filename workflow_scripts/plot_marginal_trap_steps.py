"""Draw what parallel decoding costs in a language that is known exactly, by number of steps."""

from discreteness.figures.marginal_trap_steps import COLUMNS, draw_marginal_trap_steps
from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_marginal_trap_steps(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
