"""Parts that figures share: tables, style, colours, axes, legends, and files that have the same bytes every time."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

# Figures are files and need no screen. A notebook sets its own backend for every process that it starts, and where that
# backend is not installed matplotlib cannot even be imported.
os.environ["MPLBACKEND"] = "agg"

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from discreteness.core.errors import InputError
from discreteness.core.io import atomic, read_csv
from discreteness.figures.text import fit_text, text_width

STYLE = Path(__file__).resolve().parents[3] / "matplotlibrc"
WIDTH = 7.0  # inches: the text width of a two-column page
SMALL = 6.5  # points: the smallest type at print size

# Okabe and Ito's palette, told apart under every common form of colour blindness.
CLASS_COLOURS = {
    "content": "#0072B2",
    "function": "#E69F00",
    "punctuation": "#009E73",
    "number": "#CC79A7",
    "special": "#9A9A9A",
}
CLASS_NAMES = {
    "content": "content word",
    "function": "function word",
    "punctuation": "punctuation",
    "number": "number",
    "special": "special (EOS)",
}
# The rest of the palette, so that no model has the colour of a token class.
MODEL_COLOURS = ("#D55E00", "#111111", "#56B4E9", "#882255")
# Decoders are never in a figure with token classes and may have all of its colours.
DECODER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#111111", "#882255")
MODEL_LINES = ("-", "--", ":", "-.")
GREY = "#444444"  # of lines that stand for no model, decoder or class


def use_style(path: str | Path | None = None) -> None:
    """Set matplotlib's parameters from a style file alone: no user's own settings reach a figure."""
    path = Path(path or STYLE)
    if not path.is_file():
        raise InputError(f"{path}: no such style file")
    matplotlib.rc_file(path)


def read_figure_table(path: str | Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a figure's CSV, which must have rows; InputError as `io.read_csv`."""
    table = read_csv(path, columns)
    if table.empty:
        raise InputError(f"{path}: no rows below the header")
    return table


def finite(table: pd.DataFrame, names: Sequence[str] = ("value", "low", "high")) -> pd.DataFrame:
    """The table with the columns `names` as floats, NaN where they are infinite."""
    numbers = table[list(names)].astype(float)
    return table.assign(**numbers.where(np.isfinite(numbers)))


def is_padded(table: pd.DataFrame) -> pd.Series:
    """Whether a row's answers were measured with their padding."""
    return table["padding"].astype(str).str.lower() == "true"


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white; opaque, so that overlapping shapes do not darken."""
    return tuple(1 - strength * (1 - channel) for channel in matplotlib.colors.to_rgb(colour))


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes placed in inches, in a figure WIDTH wide; `bottom` counts from the figure's top."""
    total = figure.get_figheight()
    return figure.add_axes((left / WIDTH, 1 - bottom / total, width / WIDTH, height / total))


def panel_letter(axes: Axes, letter: str, title: str = "", spanning: bool = False) -> None:
    """Write a bold panel letter and the panel's title above its left end.

    spanning: the title is for several panels in a row, and may be wider than this one.
    """
    place = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "baseline",
        "annotation_clip": False,
    }
    axes.annotate(letter, (0, 1), xytext=(0, 5), fontsize=9, fontweight="bold", **place)
    text = axes.annotate(title, (0, 1), xytext=(10 if letter else 0, 5), fontsize=7.5, color="#222222", **place)
    text.set_in_layout(not spanning)


def band(
    axes: Axes,
    table: pd.DataFrame,
    colour: str,
    style: str = "-",
    label: str | None = None,
    strength: float = 0.2,
    over: str = "position",
    **line,
) -> None:
    """A line of `value` over `position` (or another column) on a band from `low` to `high`; line: of `Axes.plot`."""
    if table.empty:
        return
    x, value, low, high = (table[name].to_numpy(float) for name in (over, "value", "low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=strength, linewidth=0)
    axes.plot(x, value, color=colour, linestyle=style, label=label, **line)


def zero_line(axes: Axes) -> None:
    """A thin grey line at 0, behind the values."""
    axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)


def log_position_axis(axes: Axes, span: int, labels: bool = True) -> None:
    """Positions on a log2(1 + position) scale, which gives most room to the first few, where most changes."""
    axes.set_xscale("function", functions=(lambda x: np.log2(np.maximum(x, -0.5) + 1), lambda y: 2.0**y - 1))
    ticks = [0] + [2**power for power in range(20) if 2**power < span]
    axes.set_xticks(ticks, [str(tick) for tick in ticks] if labels else [""] * len(ticks))
    axes.set_xlim(0, max(span - 1, 1))


def step_axis(axes: Axes, steps: Iterable[float], most: int = 8) -> None:
    """Numbers of steps on a log2 scale, the smallest and the largest labelled, at most `most` labels in all."""
    steps = np.unique(np.asarray(list(steps), dtype=float))
    low, high = (steps[0], steps[-1]) if len(steps) else (1.0, 1.0)
    apart = 0.85 * np.log2(high / low) / (most - 1)
    ticks = [low]
    for power in range(30):
        if np.log2(2**power / ticks[-1]) >= apart and np.log2(high / 2**power) >= apart and low < 2**power < high:
            ticks.append(2.0**power)
    ticks += [high] if high > low else []
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low / 1.1, high * 1.1)


def decoder_colours(decoders: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """One colour per decoder, in order; paler where the palette begins again."""
    decoders = list(dict.fromkeys(decoders))
    count = len(DECODER_COLOURS)
    return {name: tint(DECODER_COLOURS[i % count], 0.5 ** (i // count)) for i, name in enumerate(decoders)}


def model_lines(models: Iterable[str]) -> dict[str, str]:
    """One line style per model, in order."""
    models = list(dict.fromkeys(models))
    return {name: MODEL_LINES[i % len(MODEL_LINES)] for i, name in enumerate(models)}


def style_handles(styles: dict[str, str]) -> list[Line2D]:
    """Legend entries of what line styles mean: models, or kinds of values."""
    return [Line2D([], [], color=GREY, linestyle=style, label=label) for label, style in styles.items()]


def colour_handles(colours: dict[str, str]) -> list[Line2D]:
    """Legend entries of what colours mean, as broad lines."""
    return [Line2D([], [], color=colour, linewidth=2.5, label=label) for label, colour in colours.items()]


def class_handles(classes: Sequence[str]) -> list[Patch]:
    """Legend entries of token classes, in their fixed order."""
    return [Patch(color=CLASS_COLOURS[name], label=CLASS_NAMES[name]) for name in CLASS_COLOURS if name in classes]


def fit_title(title: str) -> str:
    """A title above all panels, cut where it is wider than the figure."""
    return fit_text(title, 72 * WIDTH - 10, 7.5)


def outer_legend(figure: Figure, handles: Sequence[Artist], title: str | None = None) -> None:
    """A legend above all panels, in as many rows as its labels need; long labels and titles are cut.

    The figure grows by its height, so that the panels keep theirs.
    """
    if not handles:
        return
    for handle in handles:
        handle.set_label(fit_text(handle.get_label(), 180, 7))
    widest = max(text_width(handle.get_label(), 7) for handle in handles) + 28  # points with its line and spaces
    rows = -(-len(handles) // int(np.clip(72 * WIDTH // widest, 1, len(handles))))
    columns = -(-len(handles) // rows)  # the last row is not much shorter than the others
    figure.set_figheight(figure.get_figheight() + 0.15 * (rows + bool(title)))
    place = {"loc": "outside upper center", "title_fontsize": 7.5}
    figure.legend(handles=list(handles), ncols=columns, title=fit_title(title) if title else None, **place)


def save_figure(figure: Figure, pdf: str | Path, png: str | Path) -> None:
    """Write a figure as PDF and PNG, each whole or not at all, without dates or versions in the files.

    Each file has its own layout: the same text is up to a tenth of an inch wider in a PNG of few dots per inch.
    """
    with atomic(pdf) as temporary:
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    with atomic(png) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
