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
        settings=settings(
            row=by("model", RUN.loading),
            language=RUN.language_name,
            steps=config["language"]["steps"],
            sentences=config["language"]["sentences"],
            seed=config["seed"],
            threads=1,
            code=code("language_price.py", by("model", RUN.family_module)),
        ),
    script:
        "../workflow_scripts/language_price.py"


rule marginal_trap_steps_table:
    input:
        answers=collect(
            "results/decodings/{model}/{dataset}/{decoder}.parquet",
            model=config["language"]["models"],
            dataset=config["language"]["dataset"],
            decoder=config["language"]["decoders"],
        ),
        prices=collect("results/tables/language_price_{model}.csv", model=config["language"]["models"]),
    output:
        "results/tables/marginal_trap_steps.csv",
    log:
        "results/logs/marginal_trap_steps_table.log",
    benchmark:
        "results/benchmarks/marginal_trap_steps_table.jsonl"
    localrule: True
    params:
        settings=settings(
            models=config["language"]["models"],
            decoders=config["language"]["decoders"],
            language=RUN.language_name,
            adaptive=RUN.adaptive(config["language"]["decoders"]) if RUN.language_name else [],
            code=code("marginal_trap_steps_table.py"),
        ),
    script:
        "../workflow_scripts/marginal_trap_steps_table.py"


rule marginal_trap_toy_table:
    input:
        models=collect("results/models/{model}/provenance.json", model=config["language"]["toys"]),
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
        settings=settings(
            toys=RUN.toys,
            rows={model: RUN.loading(model) for model in config["language"]["toys"]},
            code=code("marginal_trap_toy_table.py", *sorted(set(map(RUN.family_module, config["language"]["toys"])))),
        ),
    script:
        "../workflow_scripts/marginal_trap_toy_table.py"
