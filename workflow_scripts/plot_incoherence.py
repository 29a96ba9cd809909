"""Draw what parallel decoding does to answers on real text, by number of steps."""

from discreteness.figures.incoherence import COLUMNS, draw_incoherence
from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_incoherence(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
