"""The chosen rows, checked before anything runs; what the rules need to name their inputs."""

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
    function.__signature__ = inspect.signature(function)
    function._overwrite_params = function.__signature__.parameters  # where Snakemake looks first
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


def model_row(*keys):
    """Parameters taken from a model's row: only those keys, so that the others rerun nothing."""
    return lambda wildcards: {
        key: MODEL_ROWS[wildcards.model][key] for key in keys if key in MODEL_ROWS[wildcards.model]
    }


def loading(model):
    """What decides how a model is loaded, for rules that name the model otherwise than by wildcard."""
    return {key: MODEL_ROWS[model][key] for key in LOADING if key in MODEL_ROWS[model]}


def family_code(script):
    """The fingerprint of a script's code with the module of the model's family, which is imported by name."""
    return lambda wildcards: fingerprint(script, f"denoisers.{MODEL_ROWS[wildcards.model]['family']}")


def example(wildcards):
    """Row number of the prompt that a data set's top-3 figure shows."""
    return DATASET_ROWS[wildcards.dataset].get("example", PROBE["example"])


def prompts_of(work, dataset):
    """Prompts that a rule works on; of a language, the answers of its only one are not shared out."""
    if of_language(dataset) and work != "probe":
        return 1
    return {"probe": PROBE, "information_curve": CURVE}.get(work, DECODE)["prompts"]


@cache
def shards(work, model, dataset):
    """Numbers of the jobs that share a rule's prompts; a data set with fewer prompts leaves the last ones empty."""
    return range(-(-prompts_of(work, dataset) // shard_size(work, model)))


@cache
def shard_size(work, model):
    """Prompts of one shard; asked once, as it may look at the model's files."""
    return prompts_per_job(work, config, MODEL_ROWS[model])


def shard(work, of=None):
    """What a shard takes: its number, and the prompts of each."""
    return lambda wildcards: {
        "number": int(wildcards.shard),
        "size": shard_size(work, of or wildcards.model),
    }


def probed(pattern):
    """The shards' files of a probe."""
    return lambda wildcards: expand(pattern, shard=shards("probe", wildcards.model, wildcards.dataset), **wildcards)


def parts(work, pattern, of=None):
    """The shards' files that a rule's output is put together from; none where one job does it all."""

    def files(wildcards):
        numbers = shards(work, of or wildcards.model, wildcards.dataset)
        return expand(pattern, shard=numbers, **wildcards) if len(numbers) > 1 else []

    return files


def default_resource(name):
    """A default resource of the run's profile, as it stands there; None where there is none."""
    return getattr((workflow.resource_settings.default_resources or {}).get(name), "raw", None)


def on_cluster():
    """Whether jobs run on other machines than the one that starts them; the same within such a job."""
    return workflow.non_local_exec or workflow.remote_exec or default_resource("gpu_partition") is not None


@cache
def gpus_used():
    """Whether jobs with a model may ask for a GPU: where the configuration says so, there is one, or jobs go to a
    cluster: what its nodes have cannot be seen from here."""
    if config["device"] == "auto":
        return on_cluster() or shutil.which("nvidia-smi") is not None
    return config["device"].startswith("cuda")


def model_gpus(model):
    """GPUs a job with a model asks for: as many as its row says."""
    return MODEL_ROWS[model].get("gpus", 1) if gpus_used() else 0


def joins(input):
    """Whether a job only puts shards together, for which it needs no model."""
    return bool(input and input.get("parts"))


def gpus(of=None):
    """GPUs a job asks for that holds model `of`, or the one its wildcard names."""
    return asked_often(lambda wildcards, input: 0 if joins(input) else model_gpus(of or wildcards.model))


def partition(of=None):
    """The cluster's partition for a job with a model: the one with GPUs only where the job asks for one."""
    cpu, gpu = default_resource("slurm_partition"), default_resource("gpu_partition")
    if gpu is None:
        return cpu
    return asked_often(lambda wildcards, input: gpu if model_gpus(of or wildcards.model) and not joins(input) else cpu)


@cache
def model_size(model):
    """Size of a model's weights, GB; asked once, as it may look at the model's files."""
    return size_gb(MODEL_ROWS[model])


def memory(of=None):
    """Memory of a job that holds a model, MB: twice its size, and what libraries and batches take; doubled on retry."""
    return asked_often(
        lambda wildcards, attempt: 2 ** (attempt - 1) * (4000 + int(2000 * model_size(of or wildcards.model)))
    )


def runtime(minutes, of=None):
    """Time limit of a job that holds a model, minutes: twice `minutes` at 16 GB, and so on; doubled on retry.

    At least twice as long as a job is meant to take.
    """
    longest = max(minutes, 2 * config["job_minutes"])
    return asked_often(
        lambda wildcards, attempt: 2 ** (attempt - 1) * int(longest * (1 + model_size(of or wildcards.model) / 16))
    )


def doubling(amount):
    """Memory or time that is doubled on retry."""
    return asked_often(lambda wildcards, attempt: 2 ** (attempt - 1) * amount)


def asked(row, kind, name):
    """What a download is asked for: repository and commit of the row.

    A row that says no more than what is there (the newest commit, now pinned) asks what was asked before: nothing reruns.
    """
    wanted = {key: row[key] for key in ("repo", "revision") if key in row}
    record = Path(f"results/downloads/{kind}s/{name}/downloaded.json")
    there = json.loads(record.read_text()) if record.is_file() else {}
    same = all(there.get(key) == value for key, value in wanted.items())
    return there["asked"] if same and "asked" in there else wanted


def checkpoint_source(wildcards):
    """The folder a model's files come from: the row's own, the one it is downloaded to, or the one it is trained in."""
    row, model = MODEL_ROWS[wildcards.model], wildcards.model
    if "language" in row:
        return None
    return row.get("path") or (f"results/downloads/models/{model}" if "repo" in row else f"results/training/{model}")


def checkpoint_files(wildcards):
    """What a model is made of, so that replacing its weights is noticed: a folder's files, or the record of a job."""
    source, row = checkpoint_source(wildcards), MODEL_ROWS[wildcards.model]
    if "language" in row:
        return []
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


def dataset_content(wildcards):
    """What a data set's own file holds, so that another file with an old date is noticed."""
    path = DATASET_ROWS[wildcards.dataset].get("path")
    return content(path) if path else None


def checkpoint_content(wildcards):
    """What the files of a model's own folder hold."""
    own = "path" in MODEL_ROWS[wildcards.model]
    return {path: content(path) for path in checkpoint_files(wildcards)} if own else None


def dataset_row(wildcards):
    """What a data set is built from: its row with the path that holds its file, without what is only read later."""
    row = {**DATASET_ROWS[wildcards.dataset], "path": dataset_path(wildcards)}
    return {key: value for key, value in row.items() if key not in ("example", "licence")}


def training_threads(wildcards):
    """CPU threads of a training: small models are trained side by side, one thread each."""
    return MODEL_ROWS[wildcards.model]["train"].get("threads", config["threads"])


def toys():
    """Toy language -> the models of it whose strings are enumerated."""
    found = {}
    for model in LANGUAGE["toys"]:
        row = MODEL_ROWS[model]
        name = row["language"] if "language" in row else language_name(row["train"]["data"])
        found.setdefault(name, []).append(model)
    return found


def decoding_threads(wildcards):
    """CPU threads of a decoding job: a language's sentences are too short for more than one."""
    return 1 if of_language(wildcards.dataset) else config["threads"]


def of_language(dataset):
    """Whether a data set is a language whose sentences are all known, behind no prompt."""
    return DATASET_ROWS[dataset]["kind"] in ("grammar", "toy")


def language_name(dataset):
    """The language that a data set is drawn from."""
    row = DATASET_ROWS.get(dataset, {})
    return row.get("language", row.get("kind"))


def adaptive(decoders):
    """Those that choose their number of steps themselves."""
    orders = ("confidence_threshold", "confidence_factor", "entropy_bound")
    return [name for name in decoders if TABLES.decoders[name]["order"] in orders]


def decoder_row(wildcards):
    """The row of the decoder; the reference answers have none."""
    return TABLES.decoders.get(wildcards.decoder)


def decoding(key):
    """A setting of decoding: a language's answers follow no prompt, so that many are drawn behind the empty one."""
    language = {
        **{name: LANGUAGE[name] for name in ("steps", "temperatures", "samples")},
        "prompts": 1,
        "span": None,  # the longest sentence
        "example": 0,
    }

    def value(wildcards):
        if of_language(wildcards.dataset):
            return language[key]
        return {**DECODE, "temperatures": [], "example": example(wildcards)}[key]

    return value


def decoding_curve(wildcards):
    """The information curve of a decoder whose step sizes come from it."""
    optimal = TABLES.decoders.get(wildcards.decoder, {}).get("step_sizes") == "optimal"
    return f"results/curves/{wildcards.model}/{wildcards.dataset}.parquet" if optimal else []


def curve_models(dataset):
    """Models whose curve is measured on a data set."""
    return LANGUAGE["models"] if of_language(dataset) else MASKED_MODELS


def measured_answers(wildcards):
    """How many answers a curve is measured on; of a language, sentences."""
    return CURVE["sentences"] if of_language(wildcards.dataset) else max(1, CURVE["prompts"])


def measured_span(wildcards):
    """Tokens of an answer at most; those of a language's longest sentence."""
    return get_language(language_name(wildcards.dataset)).length if of_language(wildcards.dataset) else CURVE["span"]


def shows_other_states(wildcards):
    """Whether a decoder showed the model other states than those that follow from when each token took its place."""
    row = TABLES.decoders.get(wildcards.decoder, {})
    return row.get("order") == "remdm" or bool(row.get("soft_mask"))


def judged_files(wildcards):
    """The judged answers of every model and decoder, where there is a judge."""
    return (
        expand(
            "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
            model=MASKED_MODELS,
            decoder=DECODERS_AND_REFERENCE,
            dataset=wildcards.dataset,
        )
        if DECODE["judge"]
        else []
    )


def training_data(model):
    """The data set a model was trained on, where that is known and among this run's rows."""
    data = MODEL_ROWS[model].get("train", {}).get("data")
    return data if data in DATASET_ROWS else None


def training_texts(wildcards):
    """The texts that models were trained on, where they are known."""
    return [f"results/prompts/{data}.parquet" for data in sorted({*map(training_data, MASKED_MODELS)} - {None})]


def toy_families():
    """Modules of the families of the toy languages' models."""
    return sorted({f"denoisers.{MODEL_ROWS[model]['family']}" for model in LANGUAGE["toys"]})


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
