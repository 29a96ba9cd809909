"""What the workflow's own bookkeeping costs: dry runs and no-ops of thousands of jobs against bare Snakemake.

The workflow with many rows of models, data sets and decoders is compared with a Snakefile of the same rules, jobs and
edges between jobs, logs and benchmarks, but without functions, parameters and settings to check. Three commands: a dry
run where nothing exists, one where everything does (both `snakemake -n --quiet`), and a no-op run. Seconds are of the
processor, so that they hold on a busy machine too; each is the least of `--repeat` runs. Everything is made in a
temporary folder; no model is run.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from project import Project  # noqa: E402

# Jobs wanted -> models, data sets; six decoders and five shards each
SIZES = {100: (1, 1), 1000: (4, 3), 10_000: (20, 6)}
DECODERS = 5
SHARDS = 5

BARE = """
M = [f"m{n}" for n in range(config["models"])]
D = [f"d{n}" for n in range(config["datasets"])]
C = [f"c{n}" for n in range(config["decoders"])] + ["reference"]
S = range(config["shards"])

def files(*names):
    return [f"results/figures/{name}.{kind}" for name in names for kind in ("pdf", "png")]

rule all:
    input:
        files(*[f"top3_{m}_{d}" for m in M for d in D]),
        files(*[f"{name}_{d}" for name in ("frequency_collapse", "incoherence", "information_decay",
                                           "price_of_parallelism") for d in D]),
        files("smooth_corruption"),

wildcard_constraints:
    model="|".join(M), dataset="|".join(D), decoder="|".join(C), shard=r"\\d+",
"""

SHARD = "results/probe/{model}/{dataset}.shards/{shard}"
PROBE = "results/probe/{model}/{dataset}"
DECODED = "results/decodings/{model}/{dataset}/{decoder}.parquet"
COHERENCE = "results/coherence/{model}/{dataset}/{decoder}"
CURVE = "results/curves/{model}/{dataset}"
PROVENANCE, PROMPTS = "results/models/{model}/provenance.json", "results/prompts/{dataset}.parquet"
SHARD_FILES = [f"{SHARD}.{kind}" for kind in ("positions.parquet", "tokens.parquet", "sums.npz", "provenance.json")]
SHARD_SPEED = "results/benchmarks/probe/{model}/{dataset}.{shard}.speed.json"
PROBE_FILES = [f"{PROBE}.{kind}" for kind in ("positions.parquet", "tokens.parquet", "information.parquet")]
DECODED_SHARD = "results/decodings/{model}/{dataset}/{decoder}.shards/{shard}.parquet"
RESCORED = [f"{COHERENCE}.{kind}" for kind in ("rescored.parquet", "worst.csv")]
RESCORED_SHARD = [f"{COHERENCE}.shards/{{shard}}.{kind}" for kind in ("rescored.parquet", "worst.csv")]
CURVES = [f"{CURVE}.{kind}" for kind in ("parquet", "salience.parquet")]
CURVE_SHARD = [f"{CURVE}.shards/{{shard}}.{kind}" for kind in ("parquet", "salience.parquet")]
# Rule -> inputs, inputs collected over the wildcards that its outputs do not have, outputs
RULES = {
    "prompts": (["questions.jsonl"], [], [PROMPTS]),
    "model": (["weights/one/config.json", "weights/one/model.safetensors"], [], [PROVENANCE]),
    "probe_shard": ([PROMPTS, PROVENANCE], [], [*(f"temp:{file}" for file in SHARD_FILES), SHARD_SPEED]),
    "probe": (
        [PROMPTS, PROVENANCE],
        [*SHARD_FILES, SHARD_SPEED],
        [*PROBE_FILES, f"{PROBE}.provenance.json", "results/benchmarks/probe/{model}/{dataset}.speed.json"],
    ),
    "top3_table": ([PROMPTS, *PROBE_FILES[:2]], [], ["results/tables/top3_{model}_{dataset}.csv"]),
    "frequency_collapse_table": (
        [],
        [PROBE_FILES[0], PROBE_FILES[2]],
        ["results/tables/frequency_collapse_{dataset}.csv"],
    ),
    "decode_shard": ([PROMPTS, PROVENANCE], [], [f"temp:{DECODED_SHARD}"]),
    "decode": ([PROMPTS, PROVENANCE], [DECODED_SHARD], [DECODED]),
    "rescore_shard": ([PROMPTS, PROVENANCE, DECODED], [], [f"temp:{file}" for file in RESCORED_SHARD]),
    "rescore": ([PROMPTS, PROVENANCE, DECODED], RESCORED_SHARD, RESCORED),
    "information_curve_shard": ([PROMPTS, PROVENANCE], [], [f"temp:{file}" for file in CURVE_SHARD]),
    "information_curve": ([PROMPTS, PROVENANCE], CURVE_SHARD, CURVES),
    "information_decay_table": (
        [],
        [f"{CURVE}.parquet", f"{CURVE}.salience.parquet"],
        ["results/tables/information_decay_{dataset}.csv"],
    ),
    "incoherence_table": (
        [],
        [DECODED, f"{COHERENCE}.rescored.parquet", f"{COHERENCE}.worst.csv"],
        ["results/tables/incoherence_{dataset}.csv", "results/tables/worst_combinations_{dataset}.csv"],
    ),
    "price_of_parallelism_table": (
        ["results/tables/incoherence_{dataset}.csv"],
        [f"{CURVE}.parquet"],
        ["results/tables/price_of_parallelism_{dataset}.csv"],
    ),
    "smooth_corruption_table": ([], [f"{CURVE}.parquet"], ["results/tables/smooth_corruption.csv"]),
}
FIGURES = [
    "top3_{model}_{dataset}",
    *(
        f"{name}_{{dataset}}"
        for name in ("frequency_collapse", "incoherence", "information_decay", "price_of_parallelism")
    ),
    "smooth_corruption",
]


# Snakemake without the tenth of a second that it rests after touching a job's files
UNRESTED = ("-c", "import time; time.sleep = lambda seconds: None; from snakemake.cli import main; main()")


def bare_rules() -> str:
    """The rules as plain Snakemake."""
    rules = dict(RULES)
    for figure in FIGURES:
        name = "plot_" + re.sub(r"_\{.*", "", figure)
        rules[name] = (
            [f"results/tables/{figure}.csv"],
            [],
            [f"results/figures/{figure}.{kind}" for kind in ("pdf", "png")],
        )
    values = {"model": "M", "decoder": "C", "shard": "S", "dataset": "D"}
    text = BARE
    for name, (plain, collected, outputs) in rules.items():
        known = set(re.findall(r"\{(\w+)\}", outputs[0]))
        inputs = [repr(path) for path in plain]
        for path in collected:
            over = [wildcard for wildcard in re.findall(r"\{(\w+)\}", path) if wildcard not in known]
            values_given = ", ".join(f"{wildcard}={values[wildcard]}" for wildcard in over)
            inputs.append(f"expand({path!r}, {values_given}, allow_missing=True)")
        made = [f"temp({path[5:]!r})" if path.startswith("temp:") else repr(path) for path in outputs]
        text += f"\nrule {name}:\n    input:\n" + "".join(f"        {line},\n" for line in inputs)
        text += "    output:\n" + "".join(f"        {line},\n" for line in made)
        wildcards = "/".join(f"{{{wildcard}}}" for wildcard in sorted(known))
        text += f"    log:\n        'results/logs/{name}/{wildcards}.log',\n"
        text += f"    benchmark:\n        'results/benchmarks/{name}/{wildcards}.jsonl'\n"
        text += "    threads: 1\n    resources:\n        mem_mb=4000,\n        runtime=60,\n"
        text += "    script:\n        'touch.py'\n"
    return text


def workflow(folder: Path, models: int, datasets: int) -> list[str]:
    """The project with so many rows in `folder`; returns the command."""
    made = Project(folder)
    made.models = {f"m{n}": {"family": "llada", "path": "weights/one"} for n in range(models)}
    made.datasets = {f"d{n}": {"kind": "lima", "path": "questions.jsonl"} for n in range(datasets)}
    made.decoders = {f"c{n}": {"order": "low_confidence", "temperature": n / 10} for n in range(DECODERS)}
    made.config |= {
        "models": list(made.models),
        "datasets": list(made.datasets),
        "shard_size": 2,
        "probe": {"span": 8, "prompts": 2 * SHARDS},
        "decode": {"decoders": list(made.decoders), "steps": [1, 8], "span": 8, "prompts": 2 * SHARDS, "judge": None},
        "curve": {"prompts": 2 * SHARDS, "span": 8, "steps": [1, 8]},
    }
    made.config["language"]["decoders"] = ["c0"]
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    return ["--configfile", "config.yaml"]


def bare(folder: Path, models: int, datasets: int) -> list[str]:
    """The bare Snakefile in `folder`; returns the command."""
    made = Project(folder)  # the same files
    shutil.rmtree(made.folder / "profiles")
    sizes = {"models": models, "datasets": datasets, "decoders": DECODERS, "shards": SHARDS}
    (folder / "sizes.json").write_text(json.dumps(sizes))
    (folder / "Snakefile").write_text(bare_rules())
    (folder / "touch.py").write_text("for path in snakemake.output:\n    open(path, 'w').close()\n")
    return ["--configfile", "sizes.json"]


def timed(folder: Path, *arguments: str, start: tuple = ("-m", "snakemake")) -> tuple[float, str]:
    """Processor seconds of a snakemake command, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *start, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder / "workflow_scripts")}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = result.stdout + result.stderr
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{said[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said


def jobs(said: str) -> dict[str, int]:
    """The table of jobs of a dry run."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M)}


def pretend(folder: Path, settings: list[str], targets: list[str]) -> None:
    """Make every output, empty, and let Snakemake record it as made; shards, which are temporary, go again."""
    _, summary = timed(folder, *settings, "--summary", *targets)
    for line in summary.splitlines():
        path = folder / line.split("\t")[0]
        if line.startswith("results/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    timed(folder, *settings, "--cores", "100000", "--touch", "--quiet", "all", "--", *targets, start=UNRESTED)
    for path in folder.rglob("*.shards"):
        shutil.rmtree(path)


def measure(size: int, repeat: int, noop: bool) -> list[tuple[str, int, float, float]]:
    """(command, jobs, workflow's seconds, bare seconds) of a size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, make, targets in (("workflow", workflow, ["all"]), ("bare", bare, ["all"])):
            made[name] = (Path(folder, name), make(Path(folder, name), *SIZES[size]), targets)
        counts = {}
        for name, (where, settings, targets) in made.items():
            _, said = timed(where, *settings, "-n", "--quiet", "rules", "--", *targets)
            counts[name] = {rule: n for rule, n in jobs(said).items() if rule not in ("all", "curves", "total")}
        if counts["workflow"] != counts["bare"]:
            sys.exit(f"not the same jobs: {counts}")
        commands = {"dry run, nothing there": ["-n", "--quiet", "all"]}
        count = sum(counts["bare"].values())
        for what, arguments in commands.items():
            rows.append((what, count, *(least(made[name], arguments, repeat) for name in made)))
        if noop:
            for where, settings, targets in made.values():
                pretend(where, settings, targets)
                assert "Nothing to be done" in timed(where, *settings, "--cores", "1", *targets)[1]
            rows.append(
                ("dry run, all there", count, *(least(made[name], ["-n", "--quiet", "all"], repeat) for name in made))
            )
            rows.append(
                ("no-op", count, *(least(made[name], ["--cores", "1", "--quiet", "all"], repeat) for name in made))
            )
    return rows


def least(made: tuple, arguments: list[str], repeat: int) -> float:
    """Least seconds of several runs of a command."""
    where, settings, targets = made
    return min(timed(where, *settings, *arguments, "--", *targets)[0] for _ in range(repeat))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000], choices=SIZES)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="only the dry run where nothing exists")
    options = parser.parse_args()
    print("| command | jobs | workflow s | bare s | ratio |\n|---|---|---|---|---|")
    for size in options.sizes:
        for what, count, ours, theirs in measure(size, options.repeat, not options.dry):
            print(f"| {what} | {count:,} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
