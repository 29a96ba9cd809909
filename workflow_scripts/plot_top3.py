"""Draw the most probable tokens behind one prompt, mask by mask."""

from discreteness.figures.top3 import COLUMNS, draw_top3
from discreteness.jobs import job
from discreteness.plotting import read_figure_table, save_figure, use_style


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_top3(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
