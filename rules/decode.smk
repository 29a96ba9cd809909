"""Answers decoded in several steps, and what is wrong with them: the marginal trap on real text."""

JUDGE = config["decode"]["judge"]


rule decode:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        curve=RUN.needed_curve,
        parts=shards.files("decode", "results/decodings/{model}/{dataset}/{decoder}.shards/{shard}.parquet"),
    output:
        "results/decodings/{model}/{dataset}/{decoder}.parquet",
    log:
        "results/logs/decode/{model}/{dataset}/{decoder}.log",
    benchmark:
        "results/benchmarks/decode/{model}/{dataset}/{decoder}.jsonl"
    priority: 1  # of the longest chain of jobs
    threads: needs.decoding_threads
    resources:
        gpu=needs.gpus(),
        mem_mb=needs.memory(),
        runtime=needs.runtime(240),
    params:
        settings=settings(
            row=by("model", RUN.loading),
            decoder=by("decoder", RUN.decoders.get),  # none for the reference answers
            steps=by("dataset", RUN.decoding, "steps"),
            temperatures=by("dataset", RUN.decoding, "temperatures"),
            prompts=by("dataset", RUN.decoding, "prompts"),
            long_prompts=config["long_prompts"],
            samples=by("dataset", RUN.decoding, "samples"),
            span=by("dataset", RUN.decoding, "span"),
            batch_tokens=config["decode"]["batch_tokens"],
            example=by("dataset", RUN.decoding, "example"),
            seed=config["seed"],
            threads=needs.decoding_threads,
            shard=shards.shard("decode"),
            code=code("decode.py", by("model", RUN.family_module)),
        ),
    script:
        "../workflow_scripts/decode.py"


use rule decode as decode_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        curve=RUN.needed_curve,
    output:
        temp("results/decodings/{model}/{dataset}/{decoder}.shards/{shard}.parquet"),
    log:
        "results/logs/decode/{model}/{dataset}/{decoder}.{shard}.log",
    benchmark:
        "results/benchmarks/decode/{model}/{dataset}/{decoder}.{shard}.jsonl"


rule rescore:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model="results/models/{model}/provenance.json",
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
        parts=shards.files("rescore", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.rescored.parquet"),
        example_parts=shards.files("rescore", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.worst.csv"),
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
        gpu=needs.gpus(),
        mem_mb=needs.memory(),
        runtime=needs.runtime(240),
    params:
        settings=settings(
            row=by("model", RUN.loading),
            batch_tokens=config["decode"]["batch_tokens"],
            rescored=config["decode"]["rescored"],
            long_prompts=config["long_prompts"],
            recompute=by("decoder", RUN.needs_recomputing),
            forbid=by("decoder", RUN.forbidden),
            examples=config["decode"]["examples"],
            seed=config["seed"],
            threads=config["threads"],
            shard=shards.shard("rescore"),
            code=code("rescore.py", by("model", RUN.family_module)),
        ),
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


rule judge:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model=f"results/models/{JUDGE}/provenance.json",
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
        parts=shards.files("judge", "results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.judged.parquet"),
    output:
        "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
    log:
        "results/logs/judge/{model}/{dataset}/{decoder}.log",
    benchmark:
        "results/benchmarks/judge/{model}/{dataset}/{decoder}.jsonl"
    threads: 1
    resources:
        gpu=needs.gpus(JUDGE),
        mem_mb=needs.memory(JUDGE),
        runtime=needs.runtime(120, JUDGE),
    params:
        settings=settings(
            row=lambda wildcards: RUN.loading(JUDGE),
            batch_tokens=config["decode"]["batch_tokens"],
            long_prompts=config["long_prompts"],
            threads=1,
            shard=shards.shard("judge"),
            code=code("judge.py", lambda wildcards: RUN.family_module(JUDGE)),
        ),
    script:
        "../workflow_scripts/judge.py"


use rule judge as judge_shard with:
    input:
        prompts="results/prompts/{dataset}.parquet",
        model=f"results/models/{JUDGE}/provenance.json",
        answers="results/decodings/{model}/{dataset}/{decoder}.parquet",
    output:
        temp("results/coherence/{model}/{dataset}/{decoder}.shards/{shard}.judged.parquet"),
    log:
        "results/logs/judge/{model}/{dataset}/{decoder}.{shard}.log",
    benchmark:
        "results/benchmarks/judge/{model}/{dataset}/{decoder}.{shard}.jsonl"


rule incoherence_table:
    input:
        answers=collect(
            "results/decodings/{model}/{dataset}/{decoder}.parquet",
            model=RUN.masked_models,
            decoder=RUN.decoders_and_reference,
            allow_missing=True,
        ),
        rescored=collect(
            "results/coherence/{model}/{dataset}/{decoder}.rescored.parquet",
            model=RUN.masked_models,
            decoder=RUN.decoders_and_reference,
            allow_missing=True,
        ),
        examples=collect(
            "results/coherence/{model}/{dataset}/{decoder}.worst.csv",
            model=RUN.masked_models,
            decoder=RUN.decoders_and_reference,
            allow_missing=True,
        ),
        judged=collect(
            "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
            model=RUN.masked_models if JUDGE else [],
            decoder=RUN.decoders_and_reference,
            allow_missing=True,
        ),
        training=collect("results/prompts/{data}.parquet", data=RUN.training_texts),
    output:
        table="results/tables/incoherence_{dataset}.csv",
        examples="results/tables/worst_combinations_{dataset}.csv",
    log:
        "results/logs/incoherence_table/{dataset}.log",
    benchmark:
        "results/benchmarks/incoherence_table/{dataset}.jsonl"
    localrule: True
    params:
        settings=settings(
            models=RUN.masked_models,
            decoders=RUN.decoders_and_reference,
            adaptive=RUN.adaptive(config["decode"]["decoders"]),
            judge=JUDGE,
            training={model: RUN.training_data(model) for model in RUN.masked_models},
            seed=config["seed"],
            code=code("incoherence_table.py"),
        ),
    script:
        "../workflow_scripts/incoherence_table.py"
