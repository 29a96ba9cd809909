"""Draw what every string of two tiny languages is worth to the data and to each way of decoding."""

from discreteness.figures.marginal_trap_toy import COLUMNS, draw_marginal_trap_toy
from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_marginal_trap_toy(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
