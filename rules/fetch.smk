"""Data sets and models, from wherever their rows say; these rules run on the machine that runs Snakemake."""


rule download_model:
    output:
        "results/downloads/models/{model}/downloaded.json",
    log:
        "results/logs/download_model/{model}.log",
    benchmark:
        "results/benchmarks/download_model/{model}.jsonl"
    localrule: True
    params:
        settings=settings(
            row=lambda wildcards: sources.download_request(
                RUN.models[wildcards.model], f"results/downloads/models/{wildcards.model}/downloaded.json"
            ),
            kind="model",
            code=code("download.py"),
        ),
    script:
        "../workflow_scripts/download.py"


rule download_dataset:
    output:
        "results/downloads/datasets/{dataset}/downloaded.json",
    log:
        "results/logs/download_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/download_dataset/{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            row=lambda wildcards: sources.download_request(
                RUN.datasets[wildcards.dataset], f"results/downloads/datasets/{wildcards.dataset}/downloaded.json"
            ),
            kind="dataset",
            code=code("download.py"),
        ),
    script:
        "../workflow_scripts/download.py"


rule prompts:
    input:
        files=by("dataset", partial(sources.dataset_files, RUN)),
    output:
        "results/prompts/{dataset}.parquet",
    log:
        "results/logs/prompts/{dataset}.log",
    benchmark:
        "results/benchmarks/prompts/{dataset}.jsonl"
    priority: 1
    localrule: True
    params:
        settings=settings(
            row=by("dataset", partial(sources.dataset_row, RUN)),
            content=by("dataset", partial(sources.dataset_content, RUN)),
            code=code("prompts.py", by("dataset", RUN.kind_module)),
        ),
    script:
        "../workflow_scripts/prompts.py"


rule model:
    input:
        checkpoint=by("model", partial(sources.checkpoint_files, RUN)),
    output:
        "results/models/{model}/provenance.json",
    log:
        "results/logs/model/{model}.log",
    benchmark:
        "results/benchmarks/model/{model}.jsonl"
    localrule: True
    params:
        settings=settings(
            source=by("model", partial(sources.checkpoint_source, RUN)),
            row=lambda wildcards: RUN.models[wildcards.model].given("sha256", "language"),
            content=by("model", partial(sources.checkpoint_content, RUN)),
            code=code("model.py"),
        ),
    script:
        "../workflow_scripts/model.py"
