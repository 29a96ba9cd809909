"""Data sets and models, from wherever their rows say; downloads run on the machine that runs Snakemake."""


localrules:
    download_model,
    download_dataset,


rule download_model:
    output:
        "results/downloads/models/{model}/downloaded.json",
    log:
        "results/logs/download_model/{model}.log",
    benchmark:
        "results/benchmarks/download_model/{model}.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=600,
    params:
        row=lambda wildcards: asked(MODEL_ROWS[wildcards.model], "model", wildcards.model),
        kind="model",
        code=fingerprint("download.py"),
    script:
        "../workflow_scripts/download.py"


rule download_dataset:
    output:
        "results/downloads/datasets/{dataset}/downloaded.json",
    log:
        "results/logs/download_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/download_dataset/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        row=lambda wildcards: asked(DATASET_ROWS[wildcards.dataset], "dataset", wildcards.dataset),
        kind="dataset",
        code=fingerprint("download.py"),
    script:
        "../workflow_scripts/download.py"


rule prompts:
    input:
        file=dataset_file,
    output:
        "results/prompts/{dataset}.parquet",
    log:
        "results/logs/prompts/{dataset}.log",
    benchmark:
        "results/benchmarks/prompts/{dataset}.jsonl"
    priority: 1
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        row=dataset_row,
        content=dataset_content,
        code=lambda wildcards: fingerprint("prompts.py", f"datasets.{KINDS[DATASET_ROWS[wildcards.dataset]['kind']]}"),
    script:
        "../workflow_scripts/prompts.py"


rule model:
    input:
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
        row=model_row("sha256", "language"),
        content=checkpoint_content,
        code=fingerprint("model.py"),
    script:
        "../workflow_scripts/model.py"
