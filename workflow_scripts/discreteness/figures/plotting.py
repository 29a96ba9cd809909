"""What the figures share: style, colours, tokens as labels, bands, files with the same bytes every time."""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

# Figures are files and need no screen. A notebook names its own one to all that it starts, and where that is not
# installed matplotlib cannot even be imported.
os.environ["MPLBACKEND"] = "agg"

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Patch
from matplotlib.textpath import text_to_path

from discreteness.core.errors import InputError
from discreteness.core.io import atomic, read_csv

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
    "special": "special (end of sequence)",
}
# What the palette has left, so that no model wears the colour of a token class.
MODEL_COLOURS = ("#D55E00", "#111111", "#56B4E9", "#882255")
# Decoders never share a figure with token classes and may wear all of it.
DECODER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#111111", "#882255")
MODEL_LINES = ("-", "--", ":", "-.")

UNSHOWABLE = "□"
WHITE_SPACE = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "␣", "\u3000": "␣"}
WORD_STARTS = "Ġ▁"  # how byte-level BPE and SentencePiece write the space that begins a word
SPECIAL_NAMES = {
    "endoftext": "eos",
    "end_of_text": "eos",
    "/s": "eos",
    "sep": "eos",
    "eot_id": "eot",
    "im_end": "eot",
    "end_of_turn": "eot",
}


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


@cache
def _glyphs(family: tuple[str, ...]) -> frozenset[int]:
    """Code points that the style's fonts can draw."""
    fonts = (get_font(findfont(FontProperties(family=name))) for name in family)
    return frozenset().union(*(font.get_charmap() for font in fonts))


def printable(text: str) -> str:
    """The text with everything the fonts cannot draw as one □, so that no glyph is missing."""
    glyphs = _glyphs(tuple(matplotlib.rcParams["font.sans-serif"]))
    return "".join(c if c.isprintable() and ord(c) in glyphs else UNSHOWABLE for c in text)


def token_label(text: str, special: bool = False) -> str:
    """A token as a label: trimmed, white space made visible, `⟨eos⟩` for special tokens.

    The space that begins most words is left out; a token of white space alone shows as ␣, ⏎ or ⇥.
    """
    if special:
        name = text.strip().strip("<>|[]").strip("|").lower() or "special"
        return printable(f"⟨{SPECIAL_NAMES.get(name, name)}⟩")
    if text[:1] in WORD_STARTS and text:
        text = " " + text[1:]
    body = text.strip() or text
    return printable("".join(WHITE_SPACE.get(c, c) for c in body)) or "∅"


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in points, the same with every backend."""
    font = FontProperties(family=matplotlib.rcParams["font.sans-serif"], size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def fit_text(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text, cut with … where it would be wider than `width` points."""

    def fits(candidate: str) -> bool:
        return text_width(candidate, size, weight) <= width

    if fits(text):
        return text
    low, high = 0, len(text)  # the longest beginning that fits, by bisection
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle] + "…") else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrap_text(text: str, width: float, size: float, lines: int) -> list[str]:
    """The text in at most `lines` lines of `width` points, broken at spaces; the last may end with …"""
    # No line holds 400 characters, and measuring a whole book would take long.
    words = printable(" ".join(text.split())[: 400 * lines]).split(" ")
    wrapped: list[str] = []
    while words and len(wrapped) < lines - 1:
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size) <= width:
            line += " " + words.pop(0)
        wrapped.append(fit_text(line, width, size))
    return [*wrapped, fit_text(" ".join(words), width, size)] if words else wrapped


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white; opaque, so that overlapping shapes do not darken."""
    return tuple(1 - strength * (1 - channel) for channel in matplotlib.colors.to_rgb(colour))


def panel_letter(axes: Axes, letter: str, title: str = "", spanning: bool = False) -> None:
    """Write a bold panel letter, and what the panel shows, above its left end.

    spanning: the title is for several panels in a row, and no room is made for what is wider than this one.
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
    **look,
) -> None:
    """A line of `value` over `position` (or another column) with its interval `low` to `high` as a band behind it."""
    if table.empty:
        return
    x, value, low, high = (table[name].to_numpy(float) for name in (over, "value", "low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=strength, linewidth=0)
    axes.plot(x, value, color=colour, linestyle=style, label=label, **look)


def log_position_axis(axes: Axes, span: int, labels: bool = True) -> None:
    """Positions on a log2(1 + position) scale: the first few, where everything happens, get their room."""
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
    """A colour a decoder, in order; where the palette begins again, paler."""
    decoders = list(dict.fromkeys(decoders))
    count = len(DECODER_COLOURS)
    return {name: tint(DECODER_COLOURS[i % count], 0.5 ** (i // count)) for i, name in enumerate(decoders)}


def model_lines(models: Iterable[str]) -> dict[str, str]:
    """A line style a model, in order."""
    models = list(dict.fromkeys(models))
    return {name: MODEL_LINES[i % len(MODEL_LINES)] for i, name in enumerate(models)}


def outer_legend(figure: Figure, handles: Sequence[Artist], title: str | None = None) -> None:
    """A legend above all panels, in as many rows as its labels need; long labels are cut.

    The figure grows by its height, so that the panels keep theirs.
    """
    if not handles:
        return
    for handle in handles:
        handle.set_label(fit_text(printable(handle.get_label()), 180, 7))
    widest = max(text_width(handle.get_label(), 7) for handle in handles) + 28  # points with its line and spaces
    rows = -(-len(handles) // int(np.clip(72 * WIDTH // widest, 1, len(handles))))
    columns = -(-len(handles) // rows)  # the last row is not much shorter than the others
    figure.set_figheight(figure.get_figheight() + 0.15 * (rows + bool(title)))
    look = {"loc": "outside upper center", "title_fontsize": 7.5}
    figure.legend(handles=list(handles), ncols=columns, title=printable(title) if title else None, **look)


def class_handles(classes: Sequence[str]) -> list[Patch]:
    """Legend entries of token classes, in their fixed order."""
    return [Patch(color=CLASS_COLOURS[name], label=CLASS_NAMES[name]) for name in CLASS_COLOURS if name in classes]


def save_figure(figure: Figure, pdf: str | Path, png: str | Path) -> None:
    """Write a figure as PDF and PNG, each whole or not at all, without dates or versions in the files."""
    with atomic(pdf) as temporary:
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    figure.set_layout_engine("none")  # the places found for the PDF hold for the PNG
    with atomic(png) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
