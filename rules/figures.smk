"""Every figure from its table.

A figure has one label in the report. With two or more, Snakemake turns a label that has exactly two values, each in half
of a category's figures, into a switch; where one of its sides has no figure, the section cannot be opened. One model and
one data set are enough for that, so no second label is safe in every run.
"""


rule plot_top3:
    input:
        style="matplotlibrc",
        table="results/tables/top3_{model}_{dataset}.csv",
    output:
        pdf="results/figures/top3_{model}_{dataset}.pdf",
        png=report(
            "results/figures/top3_{model}_{dataset}.png",
            caption="../report/captions/top3.rst",
            category="Single-pass probing",
            labels={"figure": "top 3 by position: {model} on {dataset}"},
        ),
    log:
        "results/logs/plot_top3/{model}_{dataset}.log",
    benchmark:
        "results/benchmarks/plot_top3/{model}_{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        example=example,  # for the caption
        corruption=lambda wildcards: family_of(MODEL_ROWS[wildcards.model]).corruption,
        code=fingerprint("plot_top3.py"),
    script:
        "../workflow_scripts/plot_top3.py"


rule plot_frequency_collapse:
    input:
        style="matplotlibrc",
        table="results/tables/frequency_collapse_{dataset}.csv",
    output:
        pdf="results/figures/frequency_collapse_{dataset}.pdf",
        png=report(
            "results/figures/frequency_collapse_{dataset}.png",
            caption="../report/captions/frequency_collapse.rst",
            category="Single-pass probing",
            labels={"figure": "collapse with distance: all models on {dataset}"},
        ),
    log:
        "results/logs/plot_frequency_collapse/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_frequency_collapse/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        corruption={model: family_of(MODEL_ROWS[model]).corruption for model in MODELS},
        code=fingerprint("plot_frequency_collapse.py"),
    script:
        "../workflow_scripts/plot_frequency_collapse.py"


rule plot_marginal_trap_toy:
    input:
        style="matplotlibrc",
        table="results/tables/marginal_trap_toy.csv",
    output:
        pdf="results/figures/marginal_trap_toy.pdf",
        png=report(
            "results/figures/marginal_trap_toy.png",
            caption="../report/captions/marginal_trap_toy.rst",
            category="Marginal trap",
            labels={"figure": "every string of two sentences: toy languages"},
        ),
    log:
        "results/logs/plot_marginal_trap_toy.log",
    benchmark:
        "results/benchmarks/plot_marginal_trap_toy.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_marginal_trap_toy.py"),
    script:
        "../workflow_scripts/plot_marginal_trap_toy.py"


rule plot_marginal_trap_steps:
    input:
        style="matplotlibrc",
        table="results/tables/marginal_trap_steps.csv",
    output:
        pdf="results/figures/marginal_trap_steps.pdf",
        png=report(
            "results/figures/marginal_trap_steps.png",
            caption="../report/captions/marginal_trap_steps.rst",
            category="Marginal trap",
            labels={"figure": "invalid sentences and price by steps: small English"},
        ),
    log:
        "results/logs/plot_marginal_trap_steps.log",
    benchmark:
        "results/benchmarks/plot_marginal_trap_steps.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_marginal_trap_steps.py"),
    script:
        "../workflow_scripts/plot_marginal_trap_steps.py"


rule plot_incoherence:
    input:
        style="matplotlibrc",
        table="results/tables/incoherence_{dataset}.csv",
    output:
        pdf="results/figures/incoherence_{dataset}.pdf",
        png=report(
            "results/figures/incoherence_{dataset}.png",
            caption="../report/captions/incoherence.rst",
            category="Marginal trap",
            labels={"figure": "incoherence by steps: all models on {dataset}"},
        ),
    log:
        "results/logs/plot_incoherence/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_incoherence/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_incoherence.py"),
    script:
        "../workflow_scripts/plot_incoherence.py"


rule plot_information_decay:
    input:
        style="matplotlibrc",
        table="results/tables/information_decay_{dataset}.csv",
    output:
        pdf="results/figures/information_decay_{dataset}.pdf",
        png=report(
            "results/figures/information_decay_{dataset}.png",
            caption="../report/captions/information_decay.rst",
            category="Information loss",
            labels={"figure": "what is recoverable where: all models on {dataset}"},
        ),
    log:
        "results/logs/plot_information_decay/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_information_decay/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_information_decay.py"),
    script:
        "../workflow_scripts/plot_information_decay.py"


rule plot_price_of_parallelism:
    input:
        style="matplotlibrc",
        table="results/tables/price_of_parallelism_{dataset}.csv",
    output:
        pdf="results/figures/price_of_parallelism_{dataset}.pdf",
        png=report(
            "results/figures/price_of_parallelism_{dataset}.png",
            caption="../report/captions/price_of_parallelism.rst",
            category="Information loss",
            labels={"figure": "price of parallel steps: all models on {dataset}"},
        ),
    log:
        "results/logs/plot_price_of_parallelism/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_price_of_parallelism/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_price_of_parallelism.py"),
    script:
        "../workflow_scripts/plot_price_of_parallelism.py"


rule plot_smooth_corruption:
    input:
        style="matplotlibrc",
        table="results/tables/smooth_corruption.csv",
    output:
        pdf="results/figures/smooth_corruption.pdf",
        png=report(
            "results/figures/smooth_corruption.png",
            caption="../report/captions/smooth_corruption.rst",
            category="Information loss",
            labels={"figure": "information kept by noise level: known language and text"},
        ),
    log:
        "results/logs/plot_smooth_corruption.log",
    benchmark:
        "results/benchmarks/plot_smooth_corruption.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=fingerprint("plot_smooth_corruption.py"),
    script:
        "../workflow_scripts/plot_smooth_corruption.py"
