"""How many prompts a job takes, so that it lasts about as long as it should, wherever it runs.

Only the configuration and the model's row decide, never the machine: the same run is cut into the same shards
everywhere. Expected times are rough (a factor of three); they size jobs, results do not depend on them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discreteness.core.io import write_json
from discreteness.hub.checkpoint_folder import is_weight_file
from discreteness.workflow.configuration import Run
from discreteness.workflow.rows import Configuration, ModelRow

PROMPT = 128  # tokens assumed of a prompt
SPEED = {"cpu": 2e10, "gpu": 5e13}  # floating-point operations per second: one core; a data-centre card in bfloat16
SMALL = 0.01  # GB, where nothing is known of a model
FOR_GPUS = 1.0  # GB from which `device: auto` is expected to mean a GPU

# Stage -> the result that its shards are joined to
RESULTS = {
    "probe": "results/probe/{model}/{dataset}.positions.parquet",
    "information_curve": "results/curves/{model}/{dataset}.parquet",
    "decode": "results/decodings/{model}/{dataset}/{decoder}.parquet",
    "rescore": "results/coherence/{model}/{dataset}/{decoder}.rescored.parquet",
    "judge": "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
}


def size_gb(row: ModelRow) -> float:
    """Size of a model's weights, GB: what its row says, else that of the files in its folder."""
    if row.size_gb is not None:
        return row.size_gb
    files = Path(row.path).glob("*.safetensors") if row.path else []
    return sum(path.stat().st_size for path in files if is_weight_file(path.name)) / 1e9 or SMALL


def tokens_per_second(row: ModelRow, device: str) -> float:
    """Tokens per second that a model reads: what its row says, else 2 operations per parameter of 2 bytes at SPEED."""
    if row.tokens_per_second is not None:
        return row.tokens_per_second
    size = size_gb(row)
    gpu = device.startswith("cuda") or (device == "auto" and size >= FOR_GPUS)
    return SPEED["gpu" if gpu else "cpu"] / (1e9 * size)


def passes(stage: str, settings: Configuration) -> tuple[int, int]:
    """Sequences that one prompt costs in a stage, at most, and their tokens after the prompt. stage: of RESULTS."""
    curve, decode = settings.curve, settings.decode
    answers = len(decode.steps) * decode.samples
    states = len(curve.modes) * curve.replicates * curve.levels
    return {
        "probe": (1, settings.probe.span),
        "information_curve": (states + 4, curve.span),  # 4: the salience states
        "decode": (sum(decode.steps) * decode.samples, decode.span),
        "rescore": (2 * decode.rescored * answers, decode.span),
        "judge": (answers, decode.span),
    }[stage]


def prompts_per_job(stage: str, settings: Configuration, row: ModelRow) -> int:
    """Prompts of one shard: `shard_size`, or as many as `job_minutes` are expected to be enough for; at least one."""
    if settings.shard_size != "auto":
        return settings.shard_size
    sequences, span = passes(stage, settings)
    canvases = row.canvases if "canvases" in row.traits.keys else 1
    tokens = sequences * (PROMPT + span) * canvases
    return max(1, int(60 * settings.job_minutes * tokens_per_second(row, settings.device) / tokens))


def prompts_of(stage: str, run: Run, dataset: str) -> int:
    """Prompts that a stage works on; the answers to a language's only prompt are not shared out."""
    if run.is_language(dataset) and stage != "probe":
        return 1
    if stage == "information_curve":
        return run.curve(dataset)["prompts"]
    return run.settings.probe.prompts if stage == "probe" else run.settings.decode.prompts


class Shards:
    """The jobs that share the prompts of a stage.

    How many prompts suit a model is a guess from its size, which moves no number: where a result is there, its shards
    stay as they were, and a better guess reruns nothing. A job on another machine goes by what the run that submitted
    it noted. Methods that take `wildcards` want anything with `items()`.
    """

    def __init__(self, run: Run, submits: bool):
        """submits: whether this process shares out prompts, and is no job that another one has started."""
        self.run, self.submits = run, submits
        self.sizes: dict[str, tuple[int, int]] = {}  # result -> (prompts of each job, all prompts)

    def size(self, stage: str, wildcards: Any) -> int:
        """Prompts of one shard, at most all."""
        names = {name: value for name, value in wildcards.items() if name != "shard"}
        result = RESULTS[stage].format(**names)
        if result not in self.sizes:
            prompts = prompts_of(stage, self.run, names["dataset"])
            noted = kept_shard_size(result, prompts) if Path(result).is_file() or not self.submits else None
            model = self.run.settings.decode.judge if stage == "judge" else names["model"]
            size = noted or prompts_per_job(stage, self.run.settings, self.run.models[model])
            self.sizes[result] = (min(prompts, size), prompts)
        return self.sizes[result][0]

    def shard(self, stage: str) -> Callable[[Any], dict[str, int] | None]:
        """Function of wildcards: the shard's number and size; None for the job of the whole result."""

        def number_and_size(wildcards: Any) -> dict[str, int] | None:
            number = dict(wildcards.items()).get("shard")
            return None if number is None else {"number": int(number), "size": self.size(stage, wildcards)}

        return number_and_size

    def files(self, stage: str, pattern: str) -> Callable[[Any], list[str]]:
        """Function of wildcards: the shards' files that a result is joined from; none where one job does it all.

        A data set with fewer prompts than asked for leaves the last shards empty.
        """

        def paths(wildcards: Any) -> list[str]:
            names = dict(wildcards.items())
            count = -(-prompts_of(stage, self.run, names["dataset"]) // self.size(stage, wildcards))
            return [pattern.format(**names, shard=shard) for shard in range(count)] if count > 1 else []

        return paths

    def record(self) -> None:
        """Note how the prompts of each result are shared out, for the jobs on other machines and for later runs."""
        for result, (size, prompts) in self.sizes.items():
            record_shards(result, size, prompts)


def shards_record(result: str | Path) -> Path:
    """Where it is noted how the prompts of a result are shared out among jobs."""
    return Path(result).with_suffix(".shards.json")


def record_shards(result: str | Path, size: int, prompts: int) -> None:
    """Note beside a result that each of its jobs takes `size` of `prompts` prompts; for one writer at a time."""
    if kept_shard_size(result, prompts) != size:
        write_json({"size": size, "prompts": prompts}, shards_record(result))


def kept_shard_size(result: str | Path, prompts: int) -> int | None:
    """Prompts of each of the jobs that make a result of `prompts` prompts; None where that is not noted."""
    try:
        record = json.loads(shards_record(result).read_text())
        return record["size"] if record["prompts"] == prompts else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
