"""How many prompts a job takes, so that it lasts about as long as it should, wherever it runs.

Only the configuration and the model's row decide, never the machine: the same run is cut into the same shards
everywhere. Expected times are rough (a factor of three); they size jobs, results do not depend on them.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from discreteness.core.io import write_json
from discreteness.denoisers import family_of, setting
from discreteness.hub.checkpoint_folder import is_weight_file

PROMPT = 128  # tokens assumed of a prompt
SPEED = {"cpu": 2e10, "gpu": 5e13}  # floating-point operations a second: one core; a data-centre card in bfloat16
SMALL = 0.01  # GB, where nothing is known of a model
FOR_GPUS = 1.0  # GB from which `device: auto` is expected to mean a GPU


def size_gb(row: Mapping) -> float:
    """Size of a model's weights, GB: what its row says, else that of the files in its folder."""
    if "size_gb" in row:
        return row["size_gb"]
    files = list(Path(row["path"]).glob("*.safetensors")) if "path" in row else []
    return sum(path.stat().st_size for path in files if is_weight_file(path.name)) / 1e9 or SMALL


def has_gpu() -> bool:
    """Whether this machine seems to have a GPU; asked without PyTorch, whose import takes seconds."""
    return shutil.which("nvidia-smi") is not None or Path("/dev/kfd").exists()


def tokens_per_second(row: Mapping, device: str) -> float:
    """Tokens a second that a model reads: what its row says, else 2 operations a parameter of 2 bytes at SPEED."""
    if "tokens_per_second" in row:
        return row["tokens_per_second"]
    size = size_gb(row)
    gpu = device.startswith("cuda") or (device == "auto" and size >= FOR_GPUS)
    return SPEED["gpu" if gpu else "cpu"] / (1e9 * size)


def passes(work: str, config: Mapping) -> tuple[int, int]:
    """Sequences that one prompt costs in a rule, at most, and their tokens behind the prompt.

    work: `probe`, `information_curve`, `decode`, `rescore` or `judge`. config: the whole configuration.
    """
    curve, decode = config["curve"], config["decode"]
    answers = len(decode["steps"]) * decode["samples"]
    states = len(curve["modes"]) * curve["replicates"] * curve["levels"]
    return {
        "probe": (1, config["probe"]["span"]),
        "information_curve": (states + 4, curve["span"]),  # 4: the salience states
        "decode": (sum(decode["steps"]) * decode["samples"], decode["span"]),
        "rescore": (2 * decode["rescored"] * answers, decode["span"]),
        "judge": (answers, decode["span"]),
    }[work]


def prompts_per_job(work: str, config: Mapping, row: Mapping) -> int:
    """Prompts of one shard: `shard_size`, or as many as `job_minutes` are expected to be enough for; at least one."""
    if config["shard_size"] != "auto":
        return config["shard_size"]
    sequences, span = passes(work, config)
    canvases = setting(row, "canvases") if "canvases" in family_of(row).settings else 1
    tokens = sequences * (PROMPT + span) * canvases
    return max(1, int(60 * config["job_minutes"] * tokens_per_second(row, config["device"]) / tokens))


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
