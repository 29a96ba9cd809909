"""What decoding in fewer steps costs: predicted from the information curve, and measured on decoded answers."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from discreteness import plotting
from discreteness.figures.information_decay import finite, say_empty
from discreteness.plotting import WIDTH, band, decoder_colours, model_lines

COLUMNS = "model statistic schedule steps value low high prompts".split()
SCHEDULES = ("uniform", "optimal", "llada", "cosine", "dream")
PREDICTED = ("price", "bound", "exact", "sampled")
MEASURED = (("regret", "Measured regret", "nats a token"), ("perplexity", "Measured perplexity", "judge's perplexity"))
GREY = "#444444"
COLUMNS_OF_PANELS = 3


def draw_price_of_parallelism(table: pd.DataFrame) -> Figure:
    """Draw prices by number of steps (columns `COLUMNS`): a panel a model; below, what is measured."""
    lines = model_lines(table["model"])
    table = finite(table, ("steps", "value", "low", "high")).dropna(subset="steps").sort_values("steps", kind="stable")
    table = table[table["steps"] > 0]
    predicted = table[table["statistic"].isin(PREDICTED)]
    measured = table[table["statistic"].isin([name for name, _, _ in MEASURED])]
    known = [name for name in SCHEDULES if (predicted["schedule"] == name).any()]
    schedules = list(dict.fromkeys([*known, *predicted["schedule"]]))
    decoders = list(dict.fromkeys(measured["schedule"]))
    # Keyed by kind too, so that a decoder with a schedule's name has a colour of its own.
    colours = decoder_colours([*((0, name) for name in SCHEDULES), *((0, s) for s in schedules)])
    colours = decoder_colours([*colours, *((1, name) for name in decoders)])
    rows = -(-len(lines) // COLUMNS_OF_PANELS)
    heights = [2.4 if len(lines) < COLUMNS_OF_PANELS else 2.0] * rows + ([1.9] if decoders else [])
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    models = list(lines)
    for row in range(rows):
        here = models[row * COLUMNS_OF_PANELS : (row + 1) * COLUMNS_OF_PANELS]
        places = grid[row].subgridspec(1, min(len(models), COLUMNS_OF_PANELS))
        for column, model in enumerate(here):
            axes = figure.add_subplot(places[column])
            _draw_predicted(axes, predicted[predicted["model"] == model], colours)
            axes.set_xlabel("steps K")
            axes.set_ylabel("nats an answer" if column == 0 else "")
            title = f"Predicted price, {plotting.printable(model)}"
            plotting.panel_letter(axes, next(letters), plotting.fit_text(title, 400 / min(len(models), 3) - 20, 7.5))
    if decoders:
        places = grid[-1].subgridspec(1, 3, width_ratios=[1, 1, 0.5])
        for place, (statistic, title, unit) in zip(places, MEASURED, strict=False):
            axes = figure.add_subplot(place)
            _draw_measured(axes, measured[measured["statistic"] == statistic], lines, colours)
            plotting.step_axis(axes, table["steps"], most=6)
            axes.set_xlabel("steps K")
            axes.set_ylabel(unit)
            plotting.panel_letter(axes, next(letters), title)
        _decoder_legend(figure.add_subplot(places[2]), lines, {name: colours[1, name] for name in decoders})
    plotting.outer_legend(figure, _handles(predicted, schedules, colours), _about(predicted))
    return figure


def _about(predicted: pd.DataFrame) -> str | None:
    prompts = predicted.loc[predicted["statistic"] == "price", "prompts"].astype(float).max()
    return f"Curve measured on {prompts:,.0f} answers" if np.isfinite(prompts) else None


def _handles(predicted: pd.DataFrame, schedules: list[str], colours: dict) -> list[Artist]:
    """Legend entries: schedules by colour, kinds of estimate by look."""
    look = {"color": GREY, "linewidth": 1.1}
    kinds = {
        "bound": Line2D([], [], linestyle="-.", label="bound of Li and Cai, uniform", **look),
        "exact": Line2D([], [], linestyle=":", label="exact curve", **look),
        "sampled": Line2D([], [], linestyle="", marker="o", markersize=3.5, color=GREY, label="sampled"),
    }
    named = [Line2D([], [], color=colours[0, name], linewidth=2.5, label=name) for name in schedules]
    return [*named, *(kind for name, kind in kinds.items() if (predicted["statistic"] == name).any())]


def _draw_predicted(axes: Axes, table: pd.DataFrame, colours: dict) -> None:
    """One model's price by schedule, its bound, and for known languages the exact and the sampled price."""
    for (statistic, schedule), rows in table.groupby(["statistic", "schedule"], sort=False):
        colour = colours[0, schedule]
        if statistic == "price":
            band(axes, rows, colour, over="steps", marker="o", markersize=2, strength=0.18)
        elif statistic == "bound":
            axes.plot(rows["steps"], rows["value"], color=GREY, linestyle="-.", linewidth=1, zorder=1)
        elif statistic == "exact":
            axes.plot(rows["steps"], rows["value"], color=plotting.tint(colour, 1), linestyle=":", linewidth=2)
        else:
            axes.vlines(rows["steps"], rows["low"], rows["high"], color=colour, linewidth=1.1)
            axes.plot(rows["steps"], rows["value"], color=colour, linestyle="", marker="o", markersize=4, mfc="white")
    plotting.step_axis(axes, table["steps"], most=6)
    if table.empty:
        say_empty(axes)
    else:
        _zero_and_log_axis(axes, table["value"].to_numpy(float))


def _zero_and_log_axis(axes: Axes, values: np.ndarray) -> None:
    """A scale that is linear about 0, which the last K reaches, and logarithmic above; labels in plain figures."""
    top = max(float(np.max(np.abs(values))), 1e-9)
    power = int(np.floor(np.log10(top)))
    small = np.abs(values)[np.abs(values) > top / 1000]
    first = max(int(np.floor(np.log10(small.min()))), power - 3) if len(small) else power
    axes.set_yscale("symlog", linthresh=10.0**first, linscale=0.6)
    ticks = [0.0, *(10.0**p for p in range(first, power + 1))]
    ticks = [-tick for tick in ticks[:0:-1] if values.min() <= -tick] + ticks
    axes.set_yticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.set_yticks([], minor=True)
    low = min(values.min() * 1.3, -0.15 * 10.0**first)
    axes.set_ylim(low, max(top * 1.6, 10.0**first * 1.2))
    axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)


def _draw_measured(axes: Axes, table: pd.DataFrame, lines: dict, colours: dict) -> None:
    """A statistic of decoded answers by decoder; perplexity on a log scale."""
    is_perplexity = (table["statistic"] == "perplexity").all()
    if is_perplexity:
        table = table[table["value"] > 0]
    for (model, decoder), rows in table.groupby(["model", "schedule"], sort=False):
        band(axes, rows, colours[1, decoder], lines[model], over="steps", marker="o", markersize=2.5, strength=0.15)
    if table.empty:
        say_empty(axes)
    elif is_perplexity:
        values = table["value"].to_numpy(float)
        low, high = values.min() / 1.5, values.max() * 1.5
        ticks = np.outer(10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high)), [1, 2, 5]).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        ticks = ticks[:: -(-len(ticks) // 6)] if len(ticks) else ticks
        axes.set_yscale("log")
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set_ylim(low, high)
    else:
        axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)


def _decoder_legend(axes: Axes, lines: dict, colours: dict) -> None:
    """The decoders' own legend, beside what is measured of them."""
    axes.set_axis_off()
    several = lines.items() if len(lines) > 1 else []
    handles = [Line2D([], [], color=GREY, linestyle=style, label=name) for name, style in several]
    handles += [Line2D([], [], color=colour, linewidth=2.5, label=name) for name, colour in colours.items()]
    for handle in handles:
        handle.set_label(plotting.fit_text(plotting.printable(handle.get_label()), 65, 6.5))
    axes.legend(handles=handles, loc="center left", borderaxespad=0, fontsize=6.5, title="decoder", title_fontsize=7)
