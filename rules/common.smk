"""The chosen rows, checked before anything runs; what the rules need to name their inputs."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from discreteness.errors import InputError
from discreteness.settings import load_settings, schema, typed
from discreteness.sources import sources

config.update(typed(config, schema("config")))
try:
    MODEL_ROWS, DATASET_ROWS = load_settings(config)
except InputError as error:
    raise WorkflowError(str(error))

MODELS = config["models"]
DATASETS = config["datasets"]
PROBE = config["probe"]
# What of a model's row decides how it is loaded
LOADING = ("family", "dtype", "context_length", "mask_id", "gpus", "canvases", "self_conditioning")


wildcard_constraints:
    model="|".join(MODEL_ROWS),
    dataset="|".join(DATASET_ROWS),
    shard=r"\d+",


def model_row(*keys):
    """Parameters taken from a model's row: only those keys, so that the others rerun nothing."""
    return lambda wildcards: {
        key: MODEL_ROWS[wildcards.model][key] for key in keys if key in MODEL_ROWS[wildcards.model]
    }


def family_sources(script):
    """A script's sources with the module of the model's family, which is imported by name."""
    return lambda wildcards: sources(script, f"denoisers.{MODEL_ROWS[wildcards.model]['family']}")


def example(wildcards):
    """Row number of the prompt that a data set's top-3 figure shows."""
    return DATASET_ROWS[wildcards.dataset].get("example", PROBE["example"])


def shards():
    """Numbers of the probing shards; a data set with fewer prompts leaves the last ones empty."""
    return range(-(-PROBE["prompts"] // config["shard_size"]))


def gpus(wildcards):
    """GPUs a job with a model asks for: as many as its row says where there is one or the configuration says so."""
    here = shutil.which("nvidia-smi") is not None
    used = config["device"].startswith("cuda") or (config["device"] == "auto" and here)
    return MODEL_ROWS[wildcards.model].get("gpus", 1) if used else 0


def model_memory(model):
    """Memory of a job that holds a model, MB: twice its size, and what libraries and batches take."""
    return 4000 + int(2000 * MODEL_ROWS[model].get("size_gb", 0))


def checkpoint_source(wildcards):
    """The folder a model's files come from: the row's own, the one it is downloaded to, or the one it is trained in."""
    row, model = MODEL_ROWS[wildcards.model], wildcards.model
    return row.get("path") or (f"results/downloads/models/{model}" if "repo" in row else f"results/training/{model}")


def checkpoint_files(wildcards):
    """What a model is made of, so that replacing its weights is noticed: a folder's files, or the record of a job."""
    source, row = checkpoint_source(wildcards), MODEL_ROWS[wildcards.model]
    if "path" in row:
        return [f"{source}/config.json", *sorted(path.as_posix() for path in Path(source).glob("*.safetensors"))]
    return f"{source}/downloaded.json" if "repo" in row else f"{source}/training.json"


def dataset_path(wildcards):
    """The file a data set is read from, where it is read from one: the row's own or the downloaded one."""
    row = DATASET_ROWS[wildcards.dataset]
    return row.get("path") or (f"results/downloads/datasets/{wildcards.dataset}/train.jsonl" if "repo" in row else None)


def dataset_file(wildcards):
    """What says that the data set's file has changed: the file itself, or the record of its download."""
    row = DATASET_ROWS[wildcards.dataset]
    return row.get("path") or (
        f"results/downloads/datasets/{wildcards.dataset}/downloaded.json" if "repo" in row else []
    )


def dataset_row(wildcards):
    """What a data set is built from: its row with the path that holds its file, without what is only read later."""
    row = {**DATASET_ROWS[wildcards.dataset], "path": dataset_path(wildcards)}
    return {key: value for key, value in row.items() if key not in ("example", "licence")}
