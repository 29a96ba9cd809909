"""Show each model a span of masks behind each prompt and keep what it predicts there."""


rule probe:
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
    threads: config["threads"]
    resources:
        gpu=gpus(),
        slurm_partition=partition(),
        mem_mb=memory(),
        runtime=runtime(60),
    params:
        row=model_row(*LOADING),
        probe=lambda wildcards: {**PROBE, "example": example(wildcards)},
        shard=shard("probe"),
        long_prompts=config["long_prompts"],
        seed=config["seed"],
        threads=config["threads"],
        code=family_code("probe.py"),
    script:
        "../workflow_scripts/probe.py"


rule merge_probe:
    input:
        positions=probed("results/probe/{model}/{dataset}.shards/{shard}.positions.parquet"),
        tokens=probed("results/probe/{model}/{dataset}.shards/{shard}.tokens.parquet"),
        sums=probed("results/probe/{model}/{dataset}.shards/{shard}.sums.npz"),
        provenance=probed("results/probe/{model}/{dataset}.shards/{shard}.provenance.json"),
    output:
        positions="results/probe/{model}/{dataset}.positions.parquet",
        tokens="results/probe/{model}/{dataset}.tokens.parquet",
        information="results/probe/{model}/{dataset}.information.parquet",
        provenance="results/probe/{model}/{dataset}.provenance.json",
    log:
        "results/logs/merge_probe/{model}/{dataset}.log",
    benchmark:
        "results/benchmarks/merge_probe/{model}/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=fingerprint("merge_probe.py"),
    script:
        "../workflow_scripts/merge_probe.py"
