"""The small models: trained here, written in the published layout, used through the published models' code."""


rule train_model:
    input:
        prompts=lambda wildcards: f"results/prompts/{RUN.models[wildcards.model].train.data}.parquet",
    output:
        record="results/training/{model}/training.json",
        config="results/training/{model}/config.json",
        weights="results/training/{model}/model.safetensors",
    log:
        "results/logs/train_model/{model}.log",
    benchmark:
        "results/benchmarks/train_model/{model}.jsonl"
    priority: 1
    threads: needs.training_threads
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(120),
    params:
        settings=settings(
            training=lambda wildcards: RUN.models[wildcards.model].train.settings(),
            seed=config["seed"],
            threads=needs.training_threads,
            code=code("train_model.py"),
        ),
    script:
        "../workflow_scripts/train_model.py"
