"""The chosen rows, checked before anything runs, and the figures they ask for; how rules are handed to Snakemake."""

import inspect
import json
import shutil
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from discreteness.checked import once
from discreteness.cluster import check_none_left
from discreteness.dates import check_dates, content
from discreteness.errors import InputError
from discreteness.io import check_writable
from discreteness.languages import get_language
from discreteness.settings import load_settings, schema, typed
from discreteness.sources import fingerprint
from discreteness.workload import passes, prompts_per_job, size_gb

config.update(typed(config, schema("config")))
DECODE, CURVE, LANGUAGE = config["decode"], config["curve"], config["language"]


def check_all_decoders():
    """Every decoder's row against the steps and spans it is asked for; imports torch, which takes seconds."""
    from discreteness.decoding.tables import check_decoders

    check_decoders(TABLES.decoders, DECODE, LANGUAGE, TABLES.datasets)


try:
    if workflow.is_main_process:
        check_writable(".snakemake")
    TABLES = load_settings(config)
    if workflow.is_main_process and TABLES.decoders:  # the jobs need not check again, nor does the next run of the same
        once(
            Path(".snakemake/decoders_checked"),
            [TABLES.decoders, DECODE, LANGUAGE, TABLES.datasets, fingerprint("decode.py")],
            check_all_decoders,
        )
except InputError as error:
    raise WorkflowError(str(error))

MODEL_ROWS, DATASET_ROWS = TABLES.models, TABLES.datasets
MODELS = config["models"]
DATASETS = config["datasets"]
PROBE = config["probe"]
# Models whose answers can be decoded from masks
MASKED_MODELS = [name for name in MODELS if MODEL_ROWS[name]["family"] not in ("autoregressive", "diffusion_gemma")]
DECODERS_AND_REFERENCE = [*DECODE["decoders"], "reference"]
# What an information curve is measured of, the language apart
MEASURED = [
    (model, dataset)
    for model in MASKED_MODELS
    for dataset in DATASETS
    if CURVE["prompts"] and DATASET_ROWS[dataset]["kind"] not in ("grammar", "toy")
]
# What of a model's row decides how it is loaded
LOADING = ("family", "dtype", "context_length", "mask_id", "gpus", "canvases", "self_conditioning", "language")


if workflow.is_main_process:
    own = [row["path"] for row in TABLES.datasets.values() if "path" in row]
    own += [path for row in TABLES.models.values() if "path" in row for path in Path(row["path"]).glob("*.*")]
    made = [path for path in Path("results").rglob("*") if "logs" not in path.parts]
    try:
        check_dates([*own, *made])
    except InputError as error:
        raise WorkflowError(str(error))


onstart:
    try:
        check_writable("results")
        if workflow.non_local_exec and default_resource("gpu_partition"):
            check_none_left(Path.cwd())
    except InputError as error:
        raise WorkflowError(str(error))


wildcard_constraints:
    model="|".join(MODEL_ROWS),
    dataset="|".join(DATASET_ROWS),
    decoder="|".join([*TABLES.decoders, "reference"]),
    shard=r"\d+",


def asked_often(function):
    """The same function with its signature worked out: Snakemake asks for it several times a job."""
    function._overwrite_params = inspect.signature(function).parameters  # where Snakemake looks first
    return function


def prepare(made):
    """Put all parameters of a rule that stands into one, `settings`, by name.

    Snakemake compares the set of the parameters' values with that of the run before and leaves their names out: a seed
    that goes from 0 to 1 would change nothing where another parameter is 0 and a third is 1. One is also a tenth of the
    bookkeeping of ten.
    """
    given = dict(made.params.items())
    for function in filter(callable, made.input):
        asked_often(function)
    if given:
        made._params = type(made.params)()
        made.set_params(
            settings=asked_often(
                lambda wildcards: {
                    name: value(wildcards) if callable(value) else value for name, value in given.items()
                }
            )
        )


def figures():
    """Every figure that the configuration asks for."""
    names = [f"top3_{model}_{dataset}" for model in MODELS for dataset in DATASETS]
    names += [f"frequency_collapse_{dataset}" for dataset in DATASETS]
    if DECODE["decoders"] and MASKED_MODELS:
        names += [f"incoherence_{dataset}" for dataset in DATASETS if not of_language(dataset)]
    if LANGUAGE["models"] and LANGUAGE["decoders"]:
        names.append("marginal_trap_steps")
    if LANGUAGE["toys"]:
        names.append("marginal_trap_toy")
    measured = sorted({dataset for _, dataset in MEASURED})
    names += [f"{name}_{dataset}" for name in ("information_decay", "price_of_parallelism") for dataset in measured]
    if LANGUAGE["models"]:
        names.append("price_of_parallelism_{}".format(LANGUAGE["dataset"]))
    if LANGUAGE["models"] or measured:
        names.append("smooth_corruption")
    return [f"results/figures/{name}.{kind}" for name in names for kind in ("pdf", "png")]
