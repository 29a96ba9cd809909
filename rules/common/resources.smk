"""What jobs ask for: GPUs, partition, memory, time and threads, by the size of the model they hold."""


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
        return on_cluster() or has_gpu()
    return config["device"].startswith("cuda")


def model_gpus(model):
    """GPUs a job with a model asks for: as many as its row says."""
    return MODEL_ROWS[model].get("gpus", 1) if gpus_used() else 0


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


def training_threads(wildcards):
    """CPU threads of a training: small models are trained side by side, one thread each."""
    return MODEL_ROWS[wildcards.model]["train"].get("threads", config["threads"])


def decoding_threads(wildcards):
    """CPU threads of a decoding job: a language's sentences are too short for more than one."""
    return 1 if of_language(wildcards.dataset) else config["threads"]
