"""Data sets and models, from wherever their rows say."""


rule prompts:
    input:
        code=lambda wildcards: sources("prompts.py", f"datasets.{DATASET_ROWS[wildcards.dataset]['kind']}"),
        file=lambda wildcards: DATASET_ROWS[wildcards.dataset].get("path", []),
    output:
        "results/prompts/{dataset}.parquet",
    log:
        "results/logs/prompts/{dataset}.log",
    benchmark:
        "results/benchmarks/prompts/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        row=lambda wildcards: DATASET_ROWS[wildcards.dataset],
    script:
        "../workflow_scripts/prompts.py"


rule model:
    input:
        code=sources("model.py"),
        checkpoint=checkpoint_files,
    output:
        "results/models/{model}/provenance.json",
    log:
        "results/logs/model/{model}.log",
    benchmark:
        "results/benchmarks/model/{model}.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        source=checkpoint_source,
        row=model_row("sha256"),
    script:
        "../workflow_scripts/model.py"
