"""What jobs ask for: GPUs, memory, time and threads, by the size of the model they hold."""

import shutil
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from discreteness.workflow.configuration import Run
from discreteness.workflow.shards import size_gb


def has_gpu() -> bool:
    """Whether this machine seems to have a GPU; asked without PyTorch, whose import takes seconds."""
    return shutil.which("nvidia-smi") is not None or Path("/dev/kfd").exists()


class JobResources:
    """Resources of rules as functions that Snakemake calls for each job, by the names of their arguments.

    `of`: the model that a job holds, where that is not its wildcard's. Memory and time are doubled with each attempt.
    """

    def __init__(self, run: Run, on_cluster: bool):
        """on_cluster: whether jobs run on nodes, of which it cannot be seen from here what they have."""
        self.run, self.on_cluster = run, on_cluster
        self.size = cache(lambda model: size_gb(run.models[model]))  # may look at the model's files

    @cached_property
    def gpu_jobs(self) -> bool:
        """Whether jobs with a model may ask for a GPU: as `device` says; `auto`, where there may be one."""
        device = self.run.settings.device
        return (self.on_cluster or has_gpu()) if device == "auto" else device.startswith("cuda")

    def gpus(self, of: str | None = None) -> Callable:
        """GPUs: as many as the model's row says, none for a job that only joins shards."""
        return lambda wildcards, input: (
            self.run.models[of or wildcards.model].gpus if self.gpu_jobs and not input.get("parts") else 0
        )

    def memory(self, of: str | None = None) -> Callable:
        """Memory, MB: twice the model's size, and what libraries and batches take."""
        return lambda wildcards, attempt: 2 ** (attempt - 1) * (4000 + int(2000 * self.size(of or wildcards.model)))

    def runtime(self, minutes: int, of: str | None = None) -> Callable:
        """Time limit, minutes: twice `minutes` at 16 GB, and so on; at least twice what a job is meant to take."""
        longest = max(minutes, 2 * self.run.settings.job_minutes)
        return lambda wildcards, attempt: (
            2 ** (attempt - 1) * int(longest * (1 + self.size(of or wildcards.model) / 16))
        )

    def training_threads(self, wildcards: Any) -> int:
        """CPU threads of a training: small models are trained side by side, one thread each."""
        return self.run.models[wildcards.model].train.threads or self.run.settings.threads

    def decoding_threads(self, wildcards: Any) -> int:
        """CPU threads of a decoding job: a language's sentences are too short for more than one."""
        return 1 if self.run.is_language(wildcards.dataset) else self.run.settings.threads


def doubling(amount: int) -> Callable:
    """Memory or time that is doubled with each attempt."""
    return lambda wildcards, attempt: 2 ** (attempt - 1) * amount
