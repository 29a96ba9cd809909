"""Draw the most probable tokens behind one prompt, position by position."""

from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.figures.top3 import COLUMNS, draw_top3
from discreteness.workflow.jobs import job, parameters


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        figure = draw_top3(table, corruption=parameters(snakemake).corruption)
        save_figure(figure, snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
