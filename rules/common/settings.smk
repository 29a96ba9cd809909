"""The chosen rows and the figures they ask for; how rules are handed to Snakemake."""

import inspect
import json
import shlex
import shutil
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# Snakemake puts this path into the command of every script as it stands; `.venv` may lie in a folder with a space.
sys.executable = shlex.quote(sys.executable)
sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from discreteness.hub.checkpoint_folder import is_used
from discreteness.datasets import KINDS, WITHOUT_PROMPT
from discreteness.workflow.dates import content
from discreteness.decoding import rows as decoder_rows
from discreteness.denoisers import family_of
from discreteness.core.errors import InputError
from discreteness.core.io import check_link, check_writable
from discreteness.languages import get_language
from discreteness.workflow.configuration import load_settings, read_yaml, schema, typed
from discreteness.workflow.fingerprint import fingerprint
from discreteness.workflow.shards import has_gpu, kept_shard_size, prompts_per_job, record_shards, size_gb


@contextmanager
def one_line():
    """End the command with status 1 and one line, the last it prints, for what the user can put right."""
    try:
        yield
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


with one_line():
    if workflow.is_main_process:
        check_writable(".snakemake")
        for path in workflow.configfiles:
            read_yaml(path)  # Snakemake has read it already, and takes the last of a key that is there twice
    config.update(typed(config, schema("config")))
    TABLES = load_settings(config)

# Where jobs run is no parameter of theirs, as it moves no number: they find it in the configuration, like `device`.
config["gpus"] = {name: row["gpus"] for name, row in TABLES.models.items() if "gpus" in row}

DECODE, CURVE, LANGUAGE = config["decode"], config["curve"], config["language"]
MODEL_ROWS, DATASET_ROWS = TABLES.models, TABLES.datasets
MODELS = config["models"]
DATASETS = config["datasets"]
PROBE = config["probe"]
# Models whose answers can be decoded from masks
MASKED_MODELS = [name for name in MODELS if family_of(MODEL_ROWS[name]).masks]
DECODERS_AND_REFERENCE = [*DECODE["decoders"], decoder_rows.REFERENCE]
# What an information curve is measured of, the language apart
MEASURED = [
    (model, dataset)
    for model in MASKED_MODELS
    for dataset in DATASETS
    if CURVE["prompts"] and DATASET_ROWS[dataset]["kind"] not in WITHOUT_PROMPT
]
# What of a model's row decides how it is loaded
LOADING = ("family", "dtype", "context_length", "mask_id", "canvases", "self_conditioning", "language")


wildcard_constraints:
    model="|".join(MODEL_ROWS),
    dataset="|".join(DATASET_ROWS),
    decoder="|".join([*TABLES.decoders, decoder_rows.REFERENCE]),
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
