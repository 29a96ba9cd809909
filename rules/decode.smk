"""Answers decoded in several steps, and what is wrong with them: the marginal trap on real text."""


rule decode:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        curve=decoding_curve,
        parts=parts("decode", "results/decodings/{model}/{dataset}/{decoder}.shards/{shard}.parquet"),
    output:
        "results/decodings/{model}/{dataset}/{decoder}.parquet",
    log:
        "results/logs/decode/{model}/{dataset}/{decoder}.log",
    benchmark:
        "results/benchmarks/decode/{model}/{dataset}/{decoder}.jsonl"
    priority: 1  # of the longest chain of jobs
    threads: decoding_threads
    resources:
        gpu=gpus(),
        slurm_partition=partition(),
        mem_mb=memory(),
        runtime=runtime(240),
    params:
        row=model_row(*LOADING),
        decoder=decoder_row,
        steps=decoding("steps"),
        temperatures=decoding("temperatures"),
        prompts=decoding("prompts"),
        long_prompts=config["long_prompts"],
        samples=decoding("samples"),
        span=decoding("span"),
        batch_tokens=DECODE["batch_tokens"],
        example=decoding("example"),
        seed=config["seed"],
        threads=decoding_threads,
        shard=None,
        code=family_code("decode.py"),
    script:
        "../workflow_scripts/decode.py"


use rule decode as decode_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        curve=decoding_curve,
    output:
        temp("results/decodings/{model}/{dataset}/{decoder}.shards/{shard}.parquet"),
    log:
        "results/logs/decode/{model}/{dataset}/{decoder}.{shard}.log",
    benchmark:
        "results/benchmarks/decode/{model}/{dataset}/{decoder}.{shard}.jsonl"
    params:
        shard=shard("decode"),


rule rescore:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
        parts=parts("rescore", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.rescored.parquet"),
        example_parts=parts("rescore", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.worst.csv"),
    output:
        tokens="results/coherence/{model}/{dataset}/{decoder}.rescored.parquet",
        examples="results/coherence/{model}/{dataset}/{decoder}.worst.csv",
    log:
        "results/logs/rescore/{model}/{dataset}/{decoder}.log",
    benchmark:
        "results/benchmarks/rescore/{model}/{dataset}/{decoder}.jsonl"
    priority: 1
    threads: config["threads"]
    resources:
        gpu=gpus(),
        slurm_partition=partition(),
        mem_mb=memory(),
        runtime=runtime(240),
    params:
        row=model_row(*LOADING),
        batch_tokens=DECODE["batch_tokens"],
        rescored=DECODE["rescored"],
        long_prompts=config["long_prompts"],
        recompute=needs_recomputing,
        forbid=forbidden,
        examples=DECODE["examples"],
        seed=config["seed"],
        threads=config["threads"],
        shard=None,
        code=family_code("rescore.py"),
    script:
        "../workflow_scripts/rescore.py"


use rule rescore as rescore_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
    output:
        tokens=temp("results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.rescored.parquet"),
        examples=temp("results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.worst.csv"),
    log:
        "results/logs/rescore/{model}/{dataset}/{decoder}.{shard}.log",
    benchmark:
        "results/benchmarks/rescore/{model}/{dataset}/{decoder}.{shard}.jsonl"
    params:
        shard=shard("rescore"),


rule judge:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{}/provenance.json".format(DECODE["judge"]),
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
        parts=parts(
            "judge", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.judged.parquet", DECODE["judge"]
        ),
    output:
        "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
    log:
        "results/logs/judge/{model}/{dataset}/{decoder}.log",
    benchmark:
        "results/benchmarks/judge/{model}/{dataset}/{decoder}.jsonl"
    threads: 1
    resources:
        gpu=gpus(DECODE["judge"]),
        slurm_partition=partition(DECODE["judge"]),
        mem_mb=memory(DECODE["judge"]),
        runtime=runtime(120, DECODE["judge"]),
    params:
        row=lambda wildcards: loading(DECODE["judge"]),
        batch_tokens=DECODE["batch_tokens"],
        long_prompts=config["long_prompts"],
        threads=1,
        shard=None,
        code=lambda wildcards: fingerprint("judge.py", f"denoisers.{MODEL_ROWS[DECODE['judge']]['family']}"),
    script:
        "../workflow_scripts/judge.py"


use rule judge as judge_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{}/provenance.json".format(DECODE["judge"]),
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
    output:
        temp("results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.judged.parquet"),
    log:
        "results/logs/judge/{model}/{dataset}/{decoder}.{shard}.log",
    benchmark:
        "results/benchmarks/judge/{model}/{dataset}/{decoder}.{shard}.jsonl"
    params:
        shard=shard("judge", DECODE["judge"]),


rule incoherence_table:
    input:
        answers=collect(
            "results/decodings/{model}/{dataset}/{decoder}.parquet",
            model=MASKED_MODELS,
            decoder=DECODERS_AND_REFERENCE,
            allow_missing=True,
        ),
        rescored=collect(
            "results/coherence/{model}/{dataset}/{decoder}.rescored.parquet",
            model=MASKED_MODELS,
            decoder=DECODERS_AND_REFERENCE,
            allow_missing=True,
        ),
        examples=collect(
            "results/coherence/{model}/{dataset}/{decoder}.worst.csv",
            model=MASKED_MODELS,
            decoder=DECODERS_AND_REFERENCE,
            allow_missing=True,
        ),
        judged=judged_files,
        training=training_texts,
    output:
        table="results/tables/incoherence_{dataset}.csv",
        examples="results/tables/worst_combinations_{dataset}.csv",
    log:
        "results/logs/incoherence_table/{dataset}.log",
    benchmark:
        "results/benchmarks/incoherence_table/{dataset}.jsonl"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        models=MASKED_MODELS,
        decoders=DECODERS_AND_REFERENCE,
        adaptive=adaptive(DECODE["decoders"]),
        judge=DECODE["judge"],
        training={model: training_data(model) for model in MASKED_MODELS},
        seed=config["seed"],
        code=fingerprint("incoherence_table.py"),
    script:
        "../workflow_scripts/incoherence_table.py"
