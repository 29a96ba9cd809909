"""Draw what one noise level leaves recoverable, by place, class and neighbours."""

from discreteness.figures.information_decay import COLUMNS, draw_information_decay
from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        save_figure(draw_information_decay(table), snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
