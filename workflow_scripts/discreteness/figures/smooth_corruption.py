"""Information kept against nominal noise, and the schedule of noise under which it falls evenly."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from discreteness.figures import plotting
from discreteness.figures.notes import counted, interval_note, say_empty
from discreteness.figures.plotting import MODEL_COLOURS, SMALL, WIDTH, band, is_padded
from discreteness.figures.text import fit_text

COLUMNS = "source dataset padding corruption measure statistic noise value low high n".split()
LANGUAGE = ("grammar", "grammar")  # source and data set of the exact values; a model may be named so too
COLOURS = {"mask": "#0072B2", "uniform": "#E69F00", "gaussian": "#009E73"}
NAMES = {"mask": "masking", "uniform": "uniform replacement", "gaussian": "Gaussian on embeddings"}
MEASURES = {"tokens": "-", "sentence": "--"}
NAMES_OF_MEASURES = {"tokens": "each token alone", "sentence": "whole sentence"}
SERIES = ["source", "dataset", "padded", "corruption"]
IDEAL = {"color": "#777777", "linestyle": (0, (1, 1.5)), "linewidth": 1.2}


def largest_distance(rows: pd.DataFrame) -> float:
    """Largest distance of the values from the diagonal `1 - noise`; NaN without rows."""
    return float((rows["value"] - (1 - rows["noise"])).abs().max())


def draw(table: pd.DataFrame) -> Figure:
    """Draw the information that corruption leaves (columns `COLUMNS`): a known language, text, the smooth schedule."""
    table = plotting.finite(table, ("noise", "value", "low", "high")).dropna(subset="value")
    table = table.sort_values("noise", kind="stable")
    table = table.assign(padded=is_padded(table))
    of_language = (table["source"] == LANGUAGE[0]) & (table["dataset"] == LANGUAGE[1])
    colours, names = _colours(table), _names(table)
    areas = table[table["statistic"] == "area"]
    heights = [2.1, 2.1, max(0.8, 0.13 * len(areas) + 0.5)]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    above, middle, below = figure.add_gridspec(3, 1, height_ratios=heights)
    letters = iter("abcdef")
    _draw_kept(figure, above, table[of_language], table[~of_language], colours, letters)
    schedule, check = (figure.add_subplot(place) for place in middle.subgridspec(1, 2))
    _draw_lines(schedule, table[table["statistic"] == "schedule"], colours, rising=True)
    _label(schedule, "time s: share of the information lost", "nominal noise t(s)")
    plotting.panel_letter(schedule, next(letters), "Information-smooth schedule")
    _draw_check(check, table, colours)
    plotting.panel_letter(check, next(letters), "Information under that schedule, on the other half")
    area = figure.add_subplot(below)
    _draw_areas(area, areas, colours, names)
    plotting.panel_letter(area, next(letters), "Area between curve and diagonal")
    plotting.outer_legend(figure, _handles(table, colours, names), _title(table, of_language))
    return figure


def _draw_kept(
    figure: Figure,
    place: SubplotSpec,
    language: pd.DataFrame,
    text: pd.DataFrame,
    colours: dict,
    letters: Iterator[str],
) -> None:
    """The first row: information kept against nominal noise, of the known language by measure and of text."""
    why = "no known language\nin this run" if language.empty else "no values"
    panels = [
        (language[language["measure"] == name], f"Known language, {measure}", why)
        for name, measure in NAMES_OF_MEASURES.items()
    ]
    panels += [(text, "Masking reference answers", "no values")] if len(text) else []
    for where, (rows, title, why) in zip(place.subgridspec(1, len(panels)), panels, strict=True):
        axes = figure.add_subplot(where)
        _draw_lines(axes, rows[rows["statistic"] == "kept"], colours, why=why)
        _label(axes, "nominal noise t", "information kept")
        plotting.panel_letter(axes, next(letters), title)


def _draw_check(axes: Axes, table: pd.DataFrame, colours: dict) -> None:
    """Information kept under a schedule that was fitted to the other half, with the distance from the diagonal."""
    smooth = table[table["statistic"] == "smooth_kept"]
    untested = set(_keys(table[table["statistic"] == "kept"])) - set(_keys(smooth))
    _draw_lines(axes, smooth, colours, strength=0.12, why="needs 2 answers" if untested else "no values")
    _label(axes, "time s", "information kept")
    if smooth["noise"].notna().any():
        note = f"at most {largest_distance(smooth):.3f}\nfrom the diagonal"
        axes.text(0.97, 0.97, note, transform=axes.transAxes, ha="right", va="top", fontsize=SMALL)
        if untested:
            note = "one answer has\nno other half"
            axes.text(0.03, 0.03, note, transform=axes.transAxes, va="bottom", fontsize=SMALL)


def _keys(table: pd.DataFrame) -> list[tuple]:
    return list(dict.fromkeys(table[SERIES].itertuples(index=False, name=None)))


def _colours(table: pd.DataFrame) -> dict:
    """One colour per series: of its corruption for a language, of its model for text; paler if used already."""
    colours, used, models = {}, {}, {}
    for key in _keys(table):
        source, _, _, corruption = key
        if key[:2] == LANGUAGE:
            base = COLOURS.get(corruption, "#CC79A7")
        else:
            base = MODEL_COLOURS[models.setdefault(source, len(models)) % len(MODEL_COLOURS)]
        colours[key] = plotting.tint(base, 0.55 ** used.get(base, 0))
        used[base] = used.get(base, 0) + 1
    return colours


def _names(table: pd.DataFrame) -> dict:
    """Label of each series: its corruption; for text its model, whether it was padded, and its data set if several."""
    keys = _keys(table)
    several = len({dataset for source, dataset, *_ in keys if (source, dataset) != LANGUAGE}) > 1
    names = {}
    for key in keys:
        source, dataset, padded, corruption = key
        if key[:2] == LANGUAGE:
            names[key] = NAMES.get(corruption, corruption)
        else:
            whose = f"{source}, {dataset}" if several else source
            names[key] = f"{fit_text(whose, 75, 7)}, {'padded' if padded else 'answers'}"
    return names


def _handles(table: pd.DataFrame, colours: dict, names: dict) -> list[Artist]:
    """Legend entries: series by colour, measures by line style."""
    if table.empty:
        return []
    series = [Line2D([], [], color=colours[key], linewidth=2.5, label=name) for key, name in names.items()]
    drawn = [measure for measure in MEASURES if (table["measure"] == measure).any()]
    measures = plotting.style_handles({NAMES_OF_MEASURES[measure]: MEASURES[measure] for measure in drawn})
    return [*series, *measures, Line2D([], [], label="ideal: even loss", **IDEAL)]


def _title(table: pd.DataFrame, of_language: pd.Series) -> str:
    """How many sentences and answers the curves are of."""
    counts = []
    whats = (("sentence of the language", "sentences of the language"), ("reference answer", "reference answers"))
    for rows, what in zip((table[of_language], table[~of_language]), whats, strict=True):
        number = rows.loc[rows["statistic"] == "kept", "n"].astype(float).max()
        counts += [counted(number, *what) + interval_note(number)] if np.isfinite(number) else []
    return ", ".join(counts)


def _label(axes: Axes, x: str, y: str) -> None:
    """Names of both axes, the horizontal one from 0 to 1."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _draw_lines(
    axes: Axes,
    table: pd.DataFrame,
    colours: dict,
    rising: bool = False,
    strength: float = 0.22,
    why: str = "no values",
) -> None:
    """A line with its band per series and measure, and the diagonal; why: written where there is none."""
    table = table.dropna(subset="noise")
    for (*key, measure), rows in table.groupby([*SERIES, "measure"], sort=False):
        style = MEASURES.get(measure, ":")
        band(axes, rows, colours[tuple(key)], style, over="noise", strength=strength)
    if table.empty:
        say_empty(axes, why)
        return
    ends = [0, 1] if rising else [1, 0]
    axes.plot([0, 1], ends, zorder=1, **IDEAL)
    axes.set_ylim(min(0, axes.get_ylim()[0]), max(1.02, axes.get_ylim()[1]))


def _draw_areas(axes: Axes, table: pd.DataFrame, colours: dict, names: dict) -> None:
    """The area of every series and measure as a point with its interval, and in figures."""
    axes.set_xlabel("area (0: even loss)")
    if table.empty:
        say_empty(axes)
        return
    labels = []
    for at, row in enumerate(table.itertuples(index=False)):
        key = tuple(getattr(row, name) for name in SERIES)
        axes.plot([row.low, row.high], [at, at], color=colours[key], linewidth=1.3)
        filled = {} if row.measure == "tokens" else {"mfc": "white"}
        axes.plot([row.value], [at], color=colours[key], marker="o", markersize=4, **filled)
        interval = "" if np.isnan([row.low, row.high]).any() else f" [{row.low:.3f}, {row.high:.3f}]"
        place = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "left", "fontsize": SMALL}
        axes.annotate(f"{row.value:.3f}{interval}", (1.02, at), annotation_clip=False, **place)
        short = {"tokens": "tokens", "sentence": "sentence"}.get(row.measure, row.measure)
        labels.append(f"{fit_text(names[key], 130, SMALL)}, {short}")
    axes.set_yticks(range(len(labels)), labels, fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.margins(x=0.05)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
