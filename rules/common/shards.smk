"""How a rule's prompts are shared out among jobs."""


def prompts_of(work, dataset):
    """Prompts that a rule works on; of a language, the answers of its only one are not shared out."""
    if of_language(dataset) and work != "probe":
        return 1
    prompts = {"probe": PROBE, "information_curve": CURVE}.get(work, DECODE)["prompts"]
    return max(1, prompts)  # a decoder may need a curve where none is shown


# What a rule's shards are put together to
RESULT = {
    "probe": "results/probe/{model}/{dataset}.positions.parquet",
    "information_curve": "results/curves/{model}/{dataset}.parquet",
    "decode": "results/decodings/{model}/{dataset}/{decoder}.parquet",
    "rescore": "results/coherence/{model}/{dataset}/{decoder}.rescored.parquet",
    "judge": "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
}


# Result -> (prompts of each of its jobs, all its prompts), as far as this command asked for them
SHARED_OUT = {}


@cache
def shard_size(work, of, result, dataset):
    """Prompts of one shard of a job with model `of`, at most all.

    How many suit the model is a guess from its size, which moves no number: where the result is there it stays as it
    was, and a better guess reruns nothing. A job on another machine goes by what the run that submitted it noted.
    """
    prompts = prompts_of(work, dataset)
    noted = kept_shard_size(result, prompts) if Path(result).is_file() or not workflow.is_main_process else None
    size = min(prompts, noted or prompts_per_job(work, config, MODEL_ROWS[of]))
    SHARED_OUT[result] = (size, prompts)
    return size


def size_of(work, of, wildcards):
    """Prompts of one shard of a job; `of` is the model it holds, where that is not its wildcard's."""
    names = {name: value for name, value in wildcards.items() if name != "shard"}
    return shard_size(work, of or wildcards.model, RESULT[work].format(**names), wildcards.dataset)


def shards(work, of, wildcards):
    """Numbers of the jobs that share a rule's prompts; a data set with fewer prompts leaves the last ones empty."""
    return range(-(-prompts_of(work, wildcards.dataset) // size_of(work, of, wildcards)))


def shard(work, of=None):
    """What a shard takes: its number, and the prompts of each."""
    return lambda wildcards: {"number": int(wildcards.shard), "size": size_of(work, of, wildcards)}


def probed(pattern):
    """The shards' files of a probe."""
    return lambda wildcards: expand(pattern, shard=shards("probe", None, wildcards), **wildcards)


def parts(work, pattern, of=None):
    """The shards' files that a rule's output is put together from; none where one job does it all."""

    def files(wildcards):
        numbers = shards(work, of, wildcards)
        return expand(pattern, shard=numbers, **wildcards) if len(numbers) > 1 else []

    return files


def joins(input):
    """Whether a job only puts shards together, for which it needs no model."""
    return bool(input and input.get("parts"))
