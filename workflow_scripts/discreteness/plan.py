"""`python -m discreteness.plan --models N --prompts N --gpus N`: what a large run would cost, before anything is run.

Jobs, hours, files and bytes, from the same sizes that cut the work into shards (`workflow.shards`) and from the bytes
per prompt in results that exist. Nothing is measured here; every assumption is an option or a constant of that module:

    jobs     = models · ⌈prompts / prompts per shard⌉, and one that joins the shards where there are several
    hours    = models · prompts · sequences · (128 + span) · 2 · parameters / SPEED, each decoder counted
    files    = logs and benchmark records, one of each per job, and the outputs that are kept
    bytes    = prompts · bytes per prompt, measured
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from discreteness.core.command_line import amount, count, entry_point
from discreteness.core.errors import InputError
from discreteness.core.io import read_table
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.rows import Configuration, ModelRow
from discreteness.workflow.shards import PROMPT, passes, prompts_per_job, tokens_per_second
from discreteness.workflow.yaml_files import parse_yaml, read_yaml

# Stage -> the kept files of a model, a data set (and a decoder), under results
OUTPUTS = {
    "probe": ("probe/{m}/{d}.positions.parquet", "probe/{m}/{d}.tokens.parquet"),
    "information_curve": ("curves/{m}/{d}.parquet", "curves/{m}/{d}.salience.parquet"),
    "decode": ("decodings/{m}/{d}/{c}.parquet",),
    "rescore": ("coherence/{m}/{d}/{c}.rescored.parquet", "coherence/{m}/{d}/{c}.worst.csv"),
    "judge": ("coherence/{m}/{d}/{c}.judged.parquet",),
}
OF_A_DECODER = ("decode", "rescore", "judge")
FIXED = {"probe": 3}  # files that do not grow with the prompts: information, provenance, speed


@dataclass(frozen=True)
class Cost:
    """What a stage costs, all models together; hours are those of one GPU."""

    prompts: int
    per_job: int
    jobs: int
    hours: float
    files: int
    bytes: float


def bytes_per_prompt(results: Path, model: str, dataset: str, decoder: str) -> dict[str, float]:
    """Stage -> bytes that one prompt takes in its kept Parquet files; InputError where one is missing."""
    sizes = {}
    for stage, patterns in OUTPUTS.items():
        total = 0.0
        for pattern in patterns:
            path = results / pattern.format(m=model, d=dataset, c=decoder)
            if path.suffix == ".csv":  # a fixed number of examples
                continue
            if not path.is_file():
                raise InputError(f"{path}: no such file; run the workflow first, or name other results")
            if not (prompts := read_table(path, ["prompt_id"])["prompt_id"].nunique()):
                raise InputError(f"{path}: no rows, so no bytes per prompt")
            total += path.stat().st_size / prompts
        sizes[stage] = total
    return sizes


def plan(
    settings: Configuration, row: ModelRow, models: int, prompts: Mapping[str, int], size: Mapping[str, float]
) -> dict[str, Cost]:
    """Stage -> Cost of `models` models like `row`.

    prompts: stage -> prompts; size: stage -> bytes per prompt (`bytes_per_prompt`).
    """
    costs = {}
    for stage, patterns in OUTPUTS.items():
        sequences, span = passes(stage, settings)
        runs = models * (len(settings.decode.decoders) if stage in OF_A_DECODER else 1)
        per_job = prompts_per_job(stage, settings, row)
        shards = -(-prompts[stage] // per_job)
        jobs = runs * (shards + (shards > 1))
        speeds = shards if stage == "probe" and shards > 1 else 0  # the speed of each shard
        tokens = runs * prompts[stage] * sequences * (PROMPT + span)
        costs[stage] = Cost(
            prompts=prompts[stage],
            per_job=per_job,
            jobs=jobs,
            hours=tokens / tokens_per_second(row, settings.device) / 3600,
            files=2 * jobs + runs * (len(patterns) + FIXED.get(stage, 0) + speeds),
            bytes=runs * prompts[stage] * size[stage],
        )
    return costs


def table(costs: Mapping[str, Cost], gpus: int) -> str:
    """The plan as a Markdown table."""
    lines = [
        "| stage | prompts | prompts per job | jobs | GPU hours | hours on all | files | GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage, cost in costs.items():
        lines.append(
            f"| `{stage}` | {cost.prompts:,} | {cost.per_job:,} | {cost.jobs:,} | {cost.hours:,.0f} | "
            f"{cost.hours / gpus:,.1f} | {cost.files:,} | {cost.bytes / 1e9:,.1f} |"
        )
    jobs, hours, files, size = (
        sum(getattr(cost, name) for cost in costs.values()) for name in ("jobs", "hours", "files", "bytes")
    )
    lines.append(f"| all | | | {jobs:,} | {hours:,.0f} | {hours / gpus:,.1f} | {files:,} | {size / 1e9:,.1f} |")
    return "\n".join(lines)


@entry_point()
def main() -> None:
    """Print the plan of a run that the command line describes."""
    parser = argparse.ArgumentParser(
        prog="python -m discreteness.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=count, default=100)
    parser.add_argument("--prompts", type=count, default=100_000, help="of the probe")
    parser.add_argument("--curve-prompts", type=count, help="of the information curve (default: as many)")
    parser.add_argument("--decoded", type=count, help="prompts decoded, scored and judged (default: as many)")
    parser.add_argument("--gpus", type=count, default=64)
    parser.add_argument("--size-gb", type=amount, default=16, help="of a model's weights, 2 bytes per parameter")
    parser.add_argument("--job-minutes", type=amount, help="default: that of the configuration")
    parser.add_argument("--config", type=Path, default=ROOT / "config/config.yaml")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where bytes per prompt are taken from")
    parser.add_argument(
        "--measured", nargs=3, default=["docs-base", "docs", "random"], metavar=("MODEL", "DATA", "DECODER")
    )
    options = parser.parse_args()
    settings = Configuration.read(read_yaml(options.config), str(options.config), parse=parse_yaml)
    changes = {"job_minutes": options.job_minutes} if options.job_minutes else {}
    settings = settings.model_copy(update={"device": "cuda", **changes})
    decoded, curve = options.decoded or options.prompts, options.curve_prompts or options.prompts
    prompts = {stage: decoded if stage in OF_A_DECODER else options.prompts for stage in OUTPUTS}
    prompts["information_curve"] = curve
    size = bytes_per_prompt(options.results, *options.measured)
    row = ModelRow(family="llada", repo="any/model", size_gb=options.size_gb)
    print(table(plan(settings, row, options.models, prompts, size), options.gpus))
    print("\nbytes per prompt: " + ", ".join(f"{stage} {value:,.0f}" for stage, value in size.items()))


if __name__ == "__main__":
    main()
