"""Every figure from its table: one rule for each of `discreteness.workflow.figures.FIGURES`.

A figure has one label in the report. With two or more, Snakemake turns a label that has exactly two values, each in half
of a category's figures, into a switch; where one of its sides has no figure, the section cannot be opened. One model and
one data set are enough for that, so no second label is safe in every run.
"""

for figure in FIGURES:

    rule:
        name:
            f"plot_{figure.name}"
        input:
            style="matplotlibrc",
            table=f"results/tables/{figure.stem}.csv",
        output:
            pdf=f"results/figures/{figure.stem}.pdf",
            png=report(
                f"results/figures/{figure.stem}.png",
                caption=f"../report/captions/{figure.name}.rst",
                category=figure.category,
                labels={"figure": figure.label},
            ),
        log:
            f"results/logs/plot_{figure.name}/{figure.stem}.log",
        benchmark:
            f"results/benchmarks/plot_{figure.name}/{figure.stem}.jsonl"
        localrule: True
        params:
            settings=settings(
                figure=figure.name,
                draw=partial(figure.settings, RUN),
                caption=partial(figure.caption, RUN),
                code=code("plot.py", f"figures.{figure.name}"),
            ),
        script:
            "../workflow_scripts/plot.py"
