"""Show each model a span of masks after each prompt and keep what it predicts there."""


rule probe:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        parts=shards.files("probe", "results/probe/{model}/{dataset}.shards/{shard}.positions.parquet"),
        token_parts=shards.files("probe", "results/probe/{model}/{dataset}.shards/{shard}.tokens.parquet"),
        sums_parts=shards.files("probe", "results/probe/{model}/{dataset}.shards/{shard}.sums.npz"),
        provenance_parts=shards.files("probe", "results/probe/{model}/{dataset}.shards/{shard}.provenance.json"),
        speed_parts=shards.files("probe", "results/benchmarks/probe/{model}/{dataset}.{shard}.speed.json"),
    output:
        positions="results/probe/{model}/{dataset}.positions.parquet",
        tokens="results/probe/{model}/{dataset}.tokens.parquet",
        information="results/probe/{model}/{dataset}.information.parquet",
        provenance="results/probe/{model}/{dataset}.provenance.json",
        speed="results/benchmarks/probe/{model}/{dataset}.speed.json",
    log:
        "results/logs/probe/{model}/{dataset}.log",
    benchmark:
        "results/benchmarks/probe/{model}/{dataset}.jsonl"
    threads: config["threads"]
    resources:
        gpu=needs.gpus(),
        mem_mb=needs.memory(),
        runtime=needs.runtime(60),
    params:
        settings=settings(
            row=by("model", RUN.loading),
            probe=by("dataset", RUN.probe),
            long_prompts=config["long_prompts"],
            seed=config["seed"],
            threads=config["threads"],
            shard=shards.shard("probe"),
            code=code("probe.py", by("model", RUN.family_module)),
        ),
    script:
        "../workflow_scripts/probe.py"


use rule probe as probe_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
    output:
        positions=temp("results/probe/{model}/{dataset}.shards/{shard}.positions.parquet"),
        tokens=temp("results/probe/{model}/{dataset}.shards/{shard}.tokens.parquet"),
        sums=temp("results/probe/{model}/{dataset}.shards/{shard}.sums.npz"),
        provenance=temp("results/probe/{model}/{dataset}.shards/{shard}.provenance.json"),
        speed="results/benchmarks/probe/{model}/{dataset}.{shard}.speed.json",
    log:
        "results/logs/probe/{model}/{dataset}.{shard}.log",
    benchmark:
        "results/benchmarks/probe/{model}/{dataset}.{shard}.jsonl"
