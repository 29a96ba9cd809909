"""Batches sized by tokens, halved where the memory does not suffice."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from discreteness.core.errors import InputError

Result = TypeVar("Result")
logger = logging.getLogger("discreteness")


def batches(lengths: list[int], batch_tokens: int, padding: float = 0.2) -> Iterator[list[int]]:
    """Indices of sequences in batches of at most `batch_tokens` tokens each, padding counted (at least one sequence).

    Sequences of similar length go together: at most the share `padding` of any row is filled up.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batch: list[int] = []
    for index in order:
        if batch:
            longest = lengths[batch[0]]
            if (len(batch) + 1) * longest > batch_tokens or lengths[index] < (1 - padding) * longest:
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch


def run_halving(run: Callable[[list[int]], Result], batch: list[int]) -> Iterator[tuple[list[int], Result]]:
    """`run(batch)`, or its halves in turn where the device runs out of memory; yields (part of the batch, result).

    Raises InputError when a single sequence does not fit.
    """
    try:
        result = run(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise InputError("the device's memory does not suffice for a single sequence") from None
        result = None
    if result is not None:
        yield batch, result
        return
    # outside of the handler, whose traceback would keep the failed attempt's tensors
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    logger.warning("out of memory with %d sequences, going on with %d at a time", len(batch), middle)
    for half in (batch[:middle], batch[middle:]):
        yield from run_halving(run, half)
