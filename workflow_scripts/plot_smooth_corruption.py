"""Draw information kept against nominal noise, and against that of the information-smooth schedule."""

from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.figures.smooth_corruption import COLUMNS, draw_smooth_corruption
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_smooth_corruption(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
