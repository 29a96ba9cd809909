"""Schedules: how many of L positions each of K steps reveals, as published samplers do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from discreteness.core.errors import InputError

if TYPE_CHECKING:
    import torch

EPS = 1e-3  # where time ends, in Dream's `diffusion_generate` and here by default


def equal_sizes(total: int, steps: int, remainder: str = "first") -> list[int]:
    """`total` positions over `steps` steps as evenly as possible; the remainder goes to the `first` or `last` steps.

    LLaDA's `get_num_transfer_tokens` adds it to the first steps; by the information curve it costs less in the last.
    """
    base, extra = divmod(total, steps)
    more, less = [base + 1] * extra, [base] * (steps - extra)
    return more + less if remainder == "first" else less + more


def shares(steps: int, eps: float) -> torch.Tensor:
    """(steps,) float32: the share of the remaining masks that each step reveals when time runs linearly from 1 to eps.

    `1 − s/t` of Dream's `diffusion_generate`, in its precision; the last step reveals all remaining masks.
    """
    import torch  # the only function here that needs it

    times = torch.linspace(1, eps, steps + 1)
    share = 1 - times[1:] / times[:-1]
    share[-1] = 1
    return share


def uniform(length: int, steps: int) -> list[int]:
    """Equal steps; the remainder is distributed one by one over the last steps, where it costs least."""
    _check(length, steps)
    return equal_sizes(length, steps, "last")


def llada(length: int, steps: int) -> list[int]:
    """Equal steps with the remainder in the first ones, as LLaDA's `get_num_transfer_tokens` does."""
    _check(length, steps)
    return equal_sizes(length, steps)


def cosine(length: int, steps: int) -> list[int]:
    """MaskGIT (arXiv 2202.04200): after step s of K, ⌊L cos(π s / 2K)⌋ positions stay masked; at least one per step."""
    _check(length, steps)
    masked, sizes = length, []
    for step in range(1, steps + 1):
        left = 0 if step == steps else min(masked - 1, math.floor(length * math.cos(math.pi / 2 * step / steps)))
        sizes.append(masked - left)
        masked = left
    return sizes


def dream(length: int, steps: int, eps: float = EPS) -> list[int]:
    """Dream's `diffusion_generate`: linear times from 1 to eps; ⌊masked · (1 − s/t)⌋ positions per step, in float32.

    By truncation some steps reveal no position: a forward pass without effect. The last step reveals the rest.
    """
    _check(length, steps)
    masked, sizes = length, []
    for share in shares(steps, eps):
        sizes.append(int(masked * share))
        masked -= sizes[-1]
    return sizes


SCHEDULES: dict[str, Callable[[int, int], list[int]]] = {
    "uniform": uniform,
    "llada": llada,
    "cosine": cosine,
    "dream": dream,
}


def _check(length: int, steps: int) -> None:
    if not 1 <= steps <= length:
        raise InputError(f"steps = {steps} do not reveal {length} positions (expected 1 to {length})")
