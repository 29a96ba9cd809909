"""Every figure from its table."""


rule plot_top3:
    input:
        code=sources("plot_top3.py"),
        style="matplotlibrc",
        table="results/tables/top3_{model}_{dataset}.csv",
    output:
        pdf="results/figures/top3_{model}_{dataset}.pdf",
        png=report(
            "results/figures/top3_{model}_{dataset}.png",
            caption="../report/captions/top3.rst",
            category="Single-pass probing",
            labels={"figure": "top 3 by position", "model": "{model}", "data": "{dataset}"},
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
        example=example,
    script:
        "../workflow_scripts/plot_top3.py"


rule plot_frequency_collapse:
    input:
        code=sources("plot_frequency_collapse.py"),
        style="matplotlibrc",
        table="results/tables/frequency_collapse_{dataset}.csv",
    output:
        pdf="results/figures/frequency_collapse_{dataset}.pdf",
        png=report(
            "results/figures/frequency_collapse_{dataset}.png",
            caption="../report/captions/frequency_collapse.rst",
            category="Single-pass probing",
            labels={"figure": "collapse with distance", "model": "all", "data": "{dataset}"},
        ),
    log:
        "results/logs/plot_frequency_collapse/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_frequency_collapse/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../workflow_scripts/plot_frequency_collapse.py"


rule plot_marginal_trap_toy:
    input:
        code=sources("plot_marginal_trap_toy.py"),
        style="matplotlibrc",
        table="results/tables/marginal_trap_toy.csv",
    output:
        pdf="results/figures/marginal_trap_toy.pdf",
        png=report(
            "results/figures/marginal_trap_toy.png",
            caption="../report/captions/marginal_trap_toy.rst",
            category="Marginal trap",
            labels={"figure": "two sentences, every string", "model": "oracle and trained", "data": "toys"},
        ),
    log:
        "results/logs/plot_marginal_trap_toy.log",
    benchmark:
        "results/benchmarks/plot_marginal_trap_toy.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../workflow_scripts/plot_marginal_trap_toy.py"


rule plot_marginal_trap_steps:
    input:
        code=sources("plot_marginal_trap_steps.py"),
        style="matplotlibrc",
        table="results/tables/marginal_trap_steps.csv",
    output:
        pdf="results/figures/marginal_trap_steps.pdf",
        png=report(
            "results/figures/marginal_trap_steps.png",
            caption="../report/captions/marginal_trap_steps.rst",
            category="Marginal trap",
            labels={
                "figure": "invalid sentences and price by steps",
                "model": "oracle and trained",
                "data": "grammar",
            },
        ),
    log:
        "results/logs/plot_marginal_trap_steps.log",
    benchmark:
        "results/benchmarks/plot_marginal_trap_steps.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../workflow_scripts/plot_marginal_trap_steps.py"


rule plot_incoherence:
    input:
        code=sources("plot_incoherence.py"),
        style="matplotlibrc",
        table="results/tables/incoherence_{dataset}.csv",
    output:
        pdf="results/figures/incoherence_{dataset}.pdf",
        png=report(
            "results/figures/incoherence_{dataset}.png",
            caption="../report/captions/incoherence.rst",
            category="Marginal trap",
            labels={"figure": "incoherence by steps", "model": "all", "data": "{dataset}"},
        ),
    log:
        "results/logs/plot_incoherence/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_incoherence/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../workflow_scripts/plot_incoherence.py"
