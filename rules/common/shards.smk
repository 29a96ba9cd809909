"""How a rule's prompts are shared out among jobs."""


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


def joins(input):
    """Whether a job only puts shards together, for which it needs no model."""
    return bool(input and input.get("parts"))
