"""Information kept against nominal noise, and whether the information-smooth schedule makes it fall evenly."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discreteness import plotting
from discreteness.figures.information_decay import finite, say_empty
from discreteness.plotting import MODEL_COLOURS, WIDTH, band

COLUMNS = "source dataset corruption measure statistic noise value low high n".split()
LANGUAGE = "grammar"  # the source whose information is known exactly
COLOURS = {"mask": "#0072B2", "uniform": "#E69F00", "gaussian": "#009E73"}
NAMES = {"mask": "masking", "uniform": "uniform replacement", "gaussian": "Gaussian on embeddings"}
MEASURES = {"tokens": "-", "sentence": "--"}
NAMES_OF_MEASURES = {"tokens": "of the tokens, each alone", "sentence": "of the whole sentence"}
SERIES = ["source", "dataset", "corruption"]


def largest_distance(rows: pd.DataFrame) -> float:
    """How far the values are from the diagonal `1 - noise` at most; NaN without rows."""
    return float((rows["value"] - (1 - rows["noise"])).abs().max())


def draw_smooth_corruption(table: pd.DataFrame) -> Figure:
    """Draw the information that corruption leaves (columns `COLUMNS`): a known language, text, the smooth schedule."""
    table = finite(table, ("noise", "value", "low", "high")).sort_values("noise", kind="stable")
    of_language = table["source"] == LANGUAGE
    text = table[~of_language]
    several = table.loc[of_language, "dataset"].nunique() > 1
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    below = [grid[1, 0], grid[1, 1]] if len(text) else [grid[1, :]]
    places = [figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], *below)]
    letters = iter("abcd")
    colours = _colours(table)
    for measure, name in NAMES_OF_MEASURES.items():
        axes = places.pop(0)
        rows = table[of_language & (table["measure"] == measure)]
        _draw_kept(axes, rows, colours, lambda key: f"{key[1]}, {NAMES[key[2]]}" if several else NAMES[key[2]])
        datasets = list(dict.fromkeys(rows["dataset"]))
        whose = f"{datasets[0]}: information" if len(datasets) == 1 else "Information"
        plotting.panel_letter(axes, next(letters), plotting.fit_text(plotting.printable(f"{whose} {name}"), 210, 7.5))
        axes.set_xlabel("nominal noise t")
    if len(text):
        axes = places.pop(0)
        _draw_kept(axes, text, colours, lambda key: f"{key[0]}, {key[1]}", measures=True)
        plotting.panel_letter(axes, next(letters), "Masking on text")
        axes.set_xlabel("nominal noise t")
    axes = places.pop(0)
    _draw_check(axes, table[table["statistic"] == "smooth_kept"], colours)
    plotting.panel_letter(axes, next(letters), "Check: the smooth schedule")
    axes.set_xlabel("schedule's time s")
    for axes in figure.axes:
        axes.set_ylabel("information kept")
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    return figure


def _colours(table: pd.DataFrame) -> dict:
    """A colour a series: of its corruption for a language, of its model for text; paler where it is used already."""
    colours, used, models = {}, {}, {}
    for key in dict.fromkeys(table[SERIES].itertuples(index=False, name=None)):
        source, _, corruption = key
        if source == LANGUAGE:
            base = COLOURS.get(corruption, "#CC79A7")
        else:
            base = MODEL_COLOURS[models.setdefault(source, len(models)) % len(MODEL_COLOURS)]
        colours[key] = plotting.tint(base, 0.6 ** used.get(base, 0))
        used[base] = used.get(base, 0) + 1
    return colours


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [1, 0], color="#777777", linestyle=(0, (2, 2)), linewidth=0.9, zorder=1, label="ideal")
    axes.set_ylim(min(0, axes.get_ylim()[0]), max(1.02, axes.get_ylim()[1]))


def _area(rows: pd.DataFrame) -> str:
    """The area between curve and diagonal with its interval, as the legend says it."""
    rows = rows[rows["statistic"] == "area"]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    interval = "" if np.isnan([row["low"], row["high"]]).any() else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f": {row['value']:.3f}{interval}"


def _draw_kept(axes: Axes, table: pd.DataFrame, colours: dict, name, measures: bool = False) -> None:
    """Information kept over nominal noise, a line a series (and measure), areas in the legend."""
    for (*key, measure), rows in table.groupby([*SERIES, "measure"], sort=False):
        kept = rows[rows["statistic"] == "kept"].dropna(subset="noise")
        if kept.empty:
            continue
        area = _area(rows)
        short = f"{name(key)}{f', {measure}' if measures else ''}"
        room = 150 if len(area) else 200
        label = plotting.fit_text(plotting.printable(short), room - 40, 6.5) + area
        band(axes, kept, colours[tuple(key)], MEASURES.get(measure, ":"), label=label, over="noise", strength=0.15)
    if not axes.lines:
        say_empty(axes)
        return
    _diagonal(axes)
    look = {"fontsize": 6.5, "title_fontsize": 6.5, "alignment": "left"}
    has_area = (table["statistic"] == "area").any()
    axes.legend(title="area to the diagonal" if has_area else None, **look)


def _draw_check(axes: Axes, table: pd.DataFrame, colours: dict) -> None:
    """Information kept over the time of the information-smooth schedule: the diagonal where it works."""
    table = table.dropna(subset="noise")
    for (*key, measure), rows in table.groupby([*SERIES, "measure"], sort=False):
        band(axes, rows, colours[tuple(key)], MEASURES.get(measure, ":"), over="noise", strength=0.1, linewidth=0.9)
    if table.empty:
        say_empty(axes)
        return
    _diagonal(axes)
    said = f"at most {largest_distance(table):.3f}\nfrom the diagonal"
    axes.text(0.96, 0.96, said, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)
