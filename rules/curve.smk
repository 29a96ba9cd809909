"""What is lost when tokens are hidden, and what that says of parallel decoding."""


rule information_curve:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        parts=parts("information_curve", "results/curves/{model}/{dataset}.shards/{shard}.parquet"),
        salience_parts=parts("information_curve", "results/curves/{model}/{dataset}.shards/{shard}.salience.parquet"),
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
        gpu=gpus(),
        slurm_partition=partition(),
        mem_mb=memory(),
        runtime=runtime(240),
    params:
        row=model_row(*LOADING),
        prompts=measured_answers,
        long_prompts=config["long_prompts"],
        modes=lambda wildcards: ["padded"] if of_language(wildcards.dataset) else CURVE["modes"],
        span=measured_span,
        replicates=CURVE["replicates"],
        levels=CURVE["levels"],
        salience=CURVE["salience"],
        batch_tokens=CURVE["batch_tokens"],
        example=lambda wildcards: 0 if of_language(wildcards.dataset) else example(wildcards),
        seed=config["seed"],
        threads=config["threads"],
        shard=None,
        code=family_code("information_curve.py"),
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
    params:
        shard=shard("information_curve"),


rule information_decay_table:
    input:
        curves=collect("results/curves/{model}/{dataset}.parquet", model=MASKED_MODELS, allow_missing=True),
        salience=collect("results/curves/{model}/{dataset}.salience.parquet", model=MASKED_MODELS, allow_missing=True),
    output:
        "results/tables/information_decay_{dataset}.csv",
    log:
        "results/logs/information_decay_table/{dataset}.log",
    benchmark:
        "results/benchmarks/information_decay_table/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        models=MASKED_MODELS,
        seed=config["seed"],
        code=fingerprint("information_decay_table.py"),
    script:
        "../workflow_scripts/information_decay_table.py"


rule price_of_parallelism_table:
    input:
        curves=lambda wildcards: expand(
            "results/curves/{model}/{dataset}.parquet",
            model=curve_models(wildcards.dataset),
            dataset=wildcards.dataset,
        ),
        sampled=lambda wildcards: (
            expand("results/tables/language_price_{model}.csv", model=LANGUAGE["models"])
            if of_language(wildcards.dataset)
            else []
        ),
        incoherence=lambda wildcards: (
            [f"results/tables/incoherence_{wildcards.dataset}.csv"]
            if DECODE["decoders"] and not of_language(wildcards.dataset)
            else []
        ),
    output:
        "results/tables/price_of_parallelism_{dataset}.csv",
    log:
        "results/logs/price_of_parallelism_table/{dataset}.log",
    benchmark:
        "results/benchmarks/price_of_parallelism_table/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        models=lambda wildcards: curve_models(wildcards.dataset),
        oracles=lambda wildcards: [m for m in curve_models(wildcards.dataset) if MODEL_ROWS[m]["family"] == "oracle"],
        language=lambda wildcards: language_name(wildcards.dataset) if of_language(wildcards.dataset) else None,
        steps=lambda wildcards: LANGUAGE["steps"] if of_language(wildcards.dataset) else CURVE["steps"],
        seed=config["seed"],
        code=fingerprint("price_of_parallelism_table.py"),
    script:
        "../workflow_scripts/price_of_parallelism_table.py"


rule smooth_corruption_table:
    input:
        curves=[f"results/curves/{model}/{dataset}.parquet" for model, dataset in MEASURED],
    output:
        "results/tables/smooth_corruption.csv",
    log:
        "results/logs/smooth_corruption_table.log",
    benchmark:
        "results/benchmarks/smooth_corruption_table.jsonl"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        language=language_name(LANGUAGE["dataset"]) if LANGUAGE["models"] else None,
        pairs=MEASURED,
        sentences=CURVE["sentences"],
        seed=config["seed"],
        code=fingerprint("smooth_corruption_table.py"),
    script:
        "../workflow_scripts/smooth_corruption_table.py"
