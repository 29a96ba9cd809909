"""The marginal trap where every sentence is known with its probability."""


rule language_price:
    input:
        model="results/models/{model}/provenance.json",
    output:
        "results/tables/language_price_{model}.csv",
    log:
        "results/logs/language_price/{model}.log",
    benchmark:
        "results/benchmarks/language_price/{model}.jsonl"
    threads: 1
    resources:
        mem_mb=doubling(3000),
        runtime=doubling(30),
    params:
        row=model_row(*LOADING),
        language=language_name(LANGUAGE["dataset"]),
        steps=LANGUAGE["steps"],
        sentences=LANGUAGE["sentences"],
        seed=config["seed"],
        threads=1,
        code=family_code("language_price.py"),
    script:
        "../workflow_scripts/language_price.py"


rule marginal_trap_steps_table:
    input:
        answers=collect(
            "results/decodings/{model}/{dataset}/{decoder}.parquet",
            model=LANGUAGE["models"],
            dataset=LANGUAGE["dataset"],
            decoder=LANGUAGE["decoders"],
        ),
        prices=collect("results/tables/language_price_{model}.csv", model=LANGUAGE["models"]),
    output:
        "results/tables/marginal_trap_steps.csv",
    log:
        "results/logs/marginal_trap_steps_table.log",
    benchmark:
        "results/benchmarks/marginal_trap_steps_table.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        models=LANGUAGE["models"],
        decoders=LANGUAGE["decoders"],
        language=language_name(LANGUAGE["dataset"]),
        adaptive=adaptive(LANGUAGE["decoders"] if LANGUAGE["models"] else []),
        code=fingerprint("marginal_trap_steps_table.py"),
    script:
        "../workflow_scripts/marginal_trap_steps_table.py"


rule marginal_trap_toy_table:
    input:
        models=collect("results/models/{model}/provenance.json", model=LANGUAGE["toys"]),
    output:
        "results/tables/marginal_trap_toy.csv",
    log:
        "results/logs/marginal_trap_toy_table.log",
    benchmark:
        "results/benchmarks/marginal_trap_toy_table.jsonl"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        toys=toys(),
        rows={model: loading(model) for model in LANGUAGE["toys"]},
        code=fingerprint("marginal_trap_toy_table.py", *toy_families()),
    script:
        "../workflow_scripts/marginal_trap_toy_table.py"
