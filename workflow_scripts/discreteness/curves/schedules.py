"""How many positions each of K steps reveals: the samplers' ways to divide L."""

import math
from collections.abc import Callable

from discreteness.errors import InputError
from discreteness.step_sizes import equal_sizes, shares


def uniform(length: int, steps: int) -> list[int]:
    """Equal steps; the remainder of an uneven division goes one by one to the last steps, where it costs least."""
    _check(length, steps)
    return equal_sizes(length, steps, "last")


def llada(length: int, steps: int) -> list[int]:
    """Equal steps with the remainder in the first ones, as LLaDA's `get_num_transfer_tokens` does."""
    _check(length, steps)
    return equal_sizes(length, steps)


def cosine(length: int, steps: int) -> list[int]:
    """MaskGIT (arXiv 2202.04200): after step s of K, ⌊L cos(π s / 2K)⌋ positions stay masked; at least one a step."""
    _check(length, steps)
    masked, sizes = length, []
    for step in range(1, steps + 1):
        left = 0 if step == steps else min(masked - 1, math.floor(length * math.cos(math.pi / 2 * step / steps)))
        sizes.append(masked - left)
        masked = left
    return sizes


def dream(length: int, steps: int, eps: float = 1e-3) -> list[int]:
    """Dream's `diffusion_generate`: linear times from 1 to eps; ⌊masked · (1 − s/t)⌋ positions a step, in float32.

    Truncation makes steps of no position at all: a forward pass that reveals nothing. The last step takes the rest.
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
