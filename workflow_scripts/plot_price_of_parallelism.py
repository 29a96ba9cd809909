"""Draw the price of decoding in fewer steps, predicted and measured."""

from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.figures.price_of_parallelism import COLUMNS, draw_price_of_parallelism
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_price_of_parallelism(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
