"""The run that the configuration describes, and how rules take their parameters from it.

What follows from rows and settings is worked out by `discreteness.workflow`; here it only meets Snakemake.
"""

import atexit
import time
from functools import partial
from pathlib import Path

from discreteness.core.errors import InputError
from discreteness.core.io import check_writable
from discreteness.decoding.rows import REFERENCE
from discreteness.workflow import sources
from discreteness.workflow.checks import check_files, check_start, one_line
from discreteness.workflow.cluster import check_none_left
from discreteness.workflow.configuration import load_run
from discreteness.workflow.dates import TOLERANCE
from discreteness.workflow.failures import failures, summary
from discreteness.workflow.figures import FIGURES, figure_files
from discreteness.workflow.fingerprint import fingerprint
from discreteness.workflow.resources import JobResources, doubling
from discreteness.workflow.shards import Shards

STARTED = time.time()
# `on_cluster` is a default resource that profiles/slurm sets, so that a dry run knows it too.
PROFILE = workflow.resource_settings.default_resources or {}
ON_CLUSTER = workflow.non_local_exec or workflow.remote_exec or "on_cluster" in PROFILE

with one_line():
    if workflow.is_main_process:
        check_files(workflow.configfiles)
    RUN = load_run(config)
    if workflow.is_main_process:
        check_start(RUN, ON_CLUSTER)

# Where jobs run is no parameter of theirs, as it moves no number: they find it in the configuration, like `device`.
config.update(RUN.settings.model_dump(), gpus={name: row.gpus for name, row in RUN.models.items()})

shards = Shards(RUN, submits=workflow.is_main_process)
needs = JobResources(RUN, ON_CLUSTER)


wildcard_constraints:
    model="|".join(RUN.models),
    dataset="|".join(RUN.datasets),
    decoder="|".join([*RUN.decoders, REFERENCE]),
    shard=r"\d+",


def settings(**parts):
    """A rule's parameters as one, by name; functions are asked for the job's wildcards.

    Snakemake compares the set of the parameters' values with that of the run before and leaves their names out: a seed
    that goes from 0 to 1 would change nothing where another parameter is 0 and a third is 1.
    """
    return lambda wildcards: {name: value(wildcards) if callable(value) else value for name, value in parts.items()}


def by(wildcard, function, key=None):
    """A function of the job's wildcards: `function` of one of them, or what its mapping has under `key`."""

    def value(wildcards):
        result = function(getattr(wildcards, wildcard))
        return result if key is None else result[key]

    return value


def code(script, *modules):
    """The fingerprint of a script, with modules that it imports by name; these may depend on the wildcards."""
    return lambda wildcards: fingerprint(script, *(part(wildcards) if callable(part) else part for part in modules))


onstart:
    try:
        check_writable("results")
        if workflow.non_local_exec and "on_cluster" in PROFILE:
            check_none_left(Path.cwd())
        if workflow.is_main_process:
            shards.record()
    except InputError as error:
        raise WorkflowError(str(error))


onerror:
    if workflow.is_main_process:  # after all that Snakemake still has to say, which is in its own log too
        atexit.register(sys.stderr.write, summary(failures("results/logs", STARTED - TOLERANCE), log))
