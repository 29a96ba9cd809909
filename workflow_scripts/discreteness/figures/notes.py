"""What figures say of numbers that are few: how many there are, and what is missing for want of more."""

import numpy as np
from matplotlib.axes import Axes

from discreteness.core.statistics import FEWEST, LEVEL, coverage
from discreteness.figures import plotting

GREY = "#777777"
PAGE = 72 * plotting.WIDTH - 10  # points of a title above all panels


def counted(number: float, one: str, many: str | None = None) -> str:
    """`1 prompt`, `1,200 prompts`."""
    return f"{number:,.0f} {one if round(number) == 1 else many or one + 's'}"


def interval_note(number: float) -> str:
    """What a reader should know of intervals over `number` values, in brackets; empty where there are enough."""
    if not np.isfinite(number) or coverage(int(number)) >= LEVEL:
        return ""
    if number < FEWEST:
        return " (no interval)"
    return f" (intervals cover {100 * coverage(int(number)):.0f} % at most)"


def fitted(title: str) -> str:
    """A title above all panels, cut where it is wider than the figure."""
    return plotting.fit_text(plotting.printable(title), PAGE, 7.5)


def say_empty(axes: Axes, why: str = "no values") -> None:
    """Say in a panel that it has nothing to show, and why if that is known."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=GREY)
