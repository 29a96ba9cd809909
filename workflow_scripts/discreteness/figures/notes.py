"""Notes in figures on small samples: how many values there are, and why something is missing."""

import numpy as np
from matplotlib.axes import Axes

from discreteness.core.statistics import FEWEST, LEVEL, coverage

GREY = "#777777"


def counted(number: float, one: str, many: str | None = None) -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{number:,.0f} {one if round(number) == 1 else many or one + 's'}"


def interval_note(number: float) -> str:
    """A note in brackets that a sample of `number` values is too small for 95 % intervals; empty where it is not."""
    if not np.isfinite(number) or coverage(int(number)) >= LEVEL:
        return ""
    if number < FEWEST:
        return " (no interval)"
    return f" (intervals cover {100 * coverage(int(number)):.0f} % at most)"


def say_empty(axes: Axes, why: str = "no values") -> None:
    """Say in a panel that it has nothing to show, and why if that is known."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=GREY)
