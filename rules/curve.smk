"""What is lost when tokens are masked, and what that says of parallel decoding."""


rule information_curve:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        parts=shards.files("information_curve", "results/curves/{model}/{dataset}.shards/{shard}.parquet"),
        salience_parts=shards.files(
            "information_curve", "results/curves/{model}/{dataset}.shards/{shard}.salience.parquet"
        ),
    output:
        curve="results/curves/{model}/{dataset}.parquet",
        salience="results/curves/{model}/{dataset}.salience.parquet",
    log:
        "results/logs/information_curve/{model}/{dataset}.log",
    benchmark:
        "results/benchmarks/information_curve/{model}/{dataset}.jsonl"
    priority: 1
    threads: config["threads"]
    resources:
        gpu=needs.gpus(),
        mem_mb=needs.memory(),
        runtime=needs.runtime(240),
    params:
        settings=settings(
            row=by("model", RUN.loading),
            prompts=by("dataset", RUN.curve, "prompts"),
            long_prompts=config["long_prompts"],
            modes=by("dataset", RUN.curve, "modes"),
            span=by("dataset", RUN.curve, "span"),
            replicates=config["curve"]["replicates"],
            levels=config["curve"]["levels"],
            salience=config["curve"]["salience"],
            batch_tokens=config["curve"]["batch_tokens"],
            example=by("dataset", RUN.curve, "example"),
            seed=config["seed"],
            threads=config["threads"],
            shard=shards.shard("information_curve"),
            code=code("information_curve.py", by("model", RUN.family_module)),
        ),
    script:
        "../workflow_scripts/information_curve.py"


use rule information_curve as information_curve_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
    output:
        curve=temp("results/curves/{model}/{dataset}.shards/{shard}.parquet"),
        salience=temp("results/curves/{model}/{dataset}.shards/{shard}.salience.parquet"),
    log:
        "results/logs/information_curve/{model}/{dataset}.{shard}.log",
    benchmark:
        "results/benchmarks/information_curve/{model}/{dataset}.{shard}.jsonl"


rule information_decay_table:
    input:
        curves=collect("results/curves/{model}/{dataset}.parquet", model=RUN.masked_models, allow_missing=True),
        salience=collect(
            "results/curves/{model}/{dataset}.salience.parquet", model=RUN.masked_models, allow_missing=True
        ),
    output:
        "results/tables/information_decay_{dataset}.csv",
    log:
        "results/logs/information_decay_table/{dataset}.log",
    benchmark:
        "results/benchmarks/information_decay_table/{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            models=RUN.masked_models,
            seed=config["seed"],
            code=code("information_decay_table.py"),
        ),
    script:
        "../workflow_scripts/information_decay_table.py"


rule price_of_parallelism_table:
    input:
        curves=lambda wildcards: expand(
            "results/curves/{model}/{dataset}.parquet",
            model=RUN.curve_models(wildcards.dataset),
            dataset=wildcards.dataset,
        ),
        sampled=branch(
            lambda wildcards: RUN.is_language(wildcards.dataset),
            then=collect("results/tables/language_price_{model}.csv", model=config["language"]["models"]),
        ),
        incoherence=branch(
            lambda wildcards: config["decode"]["decoders"] and not RUN.is_language(wildcards.dataset),
            then=["results/tables/incoherence_{dataset}.csv"],
        ),
    output:
        "results/tables/price_of_parallelism_{dataset}.csv",
    log:
        "results/logs/price_of_parallelism_table/{dataset}.log",
    benchmark:
        "results/benchmarks/price_of_parallelism_table/{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            models=by("dataset", RUN.curve_models),
            oracles=by("dataset", RUN.oracles),
            language=lambda wildcards: RUN.datasets[wildcards.dataset].language_name,
            steps=by("dataset", RUN.priced_steps),
            seed=config["seed"],
            code=code("price_of_parallelism_table.py"),
        ),
    script:
        "../workflow_scripts/price_of_parallelism_table.py"


rule smooth_corruption_table:
    input:
        curves=[f"results/curves/{model}/{dataset}.parquet" for model, dataset in RUN.measured_curves],
    output:
        "results/tables/smooth_corruption.csv",
    log:
        "results/logs/smooth_corruption_table.log",
    benchmark:
        "results/benchmarks/smooth_corruption_table.jsonl"
    localrule: True
    params:
        settings=settings(
            language=RUN.language_name,
            pairs=RUN.measured_curves,
            sentences=config["curve"]["sentences"],
            seed=config["seed"],
            code=code("smooth_corruption_table.py"),
        ),
    script:
        "../workflow_scripts/smooth_corruption_table.py"
