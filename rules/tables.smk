"""Small tidy tables of the probe; those of other stages are in the files of their stages."""


rule top3_table:
    input:
        prompts="results/prompts/{dataset}.parquet",
        positions="results/probe/{model}/{dataset}.positions.parquet",
        tokens="results/probe/{model}/{dataset}.tokens.parquet",
    output:
        "results/tables/top3_{model}_{dataset}.csv",
    log:
        "results/logs/top3_table/{model}_{dataset}.log",
    benchmark:
        "results/benchmarks/top3_table/{model}_{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            example=by("dataset", RUN.example),
            code=code("top3_table.py"),
        ),
    script:
        "../workflow_scripts/top3_table.py"


rule frequency_collapse_table:
    input:
        positions=collect(
            "results/probe/{model}/{dataset}.positions.parquet", model=config["models"], allow_missing=True
        ),
        information=collect(
            "results/probe/{model}/{dataset}.information.parquet", model=config["models"], allow_missing=True
        ),
    output:
        "results/tables/frequency_collapse_{dataset}.csv",
    log:
        "results/logs/frequency_collapse_table/{dataset}.log",
    benchmark:
        "results/benchmarks/frequency_collapse_table/{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            models=config["models"],
            seed=config["seed"],
            code=code("frequency_collapse_table.py"),
        ),
    script:
        "../workflow_scripts/frequency_collapse_table.py"
