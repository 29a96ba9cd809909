"""Draw how predictions collapse with distance from the prompt, over all prompts of a data set."""

from discreteness.figures.frequency_collapse import COLUMNS, draw_frequency_collapse
from discreteness.figures.plotting import read_figure_table, save_figure, use_style
from discreteness.workflow.jobs import job, parameters


def main(snakemake) -> None:
    with job(snakemake.log[0]):
        use_style(snakemake.input.style)
        table = read_figure_table(snakemake.input.table, COLUMNS)
        figure = draw_frequency_collapse(table, parameters(snakemake).corruption)
        save_figure(figure, snakemake.output.pdf, snakemake.output.png)


main(snakemake)  # noqa: F821
