"""The price of decoding in fewer steps: predicted from the information curve, and measured on decoded answers."""

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
from discreteness.figures.plotting import GREY, SMALL, WIDTH, band, decoder_colours, is_padded, model_lines
from discreteness.figures.text import fit_text

COLUMNS = "model padding statistic schedule steps value low high prompts".split()
SCHEDULES = ("uniform", "optimal", "llada", "cosine", "dream")
BANDED = SCHEDULES[:2]  # drawn with their intervals
NAMES = {"llada": "LLaDA", "dream": "Dream"}
MARKERS = "osD^vPX*"
PREDICTED = ("price", "relative", "bound", "exact", "sampled")
MEASURED = (
    ("regret", "Measured regret", "nats per token"),
    ("perplexity", "Measured perplexity", "perplexity (judge)"),
)
APART = 0.14  # schedules at one number of steps, in doublings of it, at most
LINEAR = 1.0  # nats per answer up to which prices are on a linear scale


def draw(table: pd.DataFrame) -> Figure:
    """Draw prices by steps (columns `COLUMNS`): two panels per model and kind of answers, then measurements."""
    lines, given = model_lines(table["model"]), set(table["statistic"])
    table = plotting.finite(table, ("steps", "value", "low", "high")).dropna(subset=["steps", "value"])
    table = table[table["steps"] > 0].sort_values("steps", kind="stable")
    predicted = table[table["statistic"].isin(PREDICTED)]
    measured = table[table["statistic"].isin([name for name, _, _ in MEASURED])]
    schedules = list(dict.fromkeys([*SCHEDULES, *predicted["schedule"]]))  # a schedule looks alike in every figure
    decoders = list(dict.fromkeys(measured["schedule"]))
    # Keyed by kind too, so that a decoder with a schedule's name has a colour of its own.
    colours = decoder_colours((0, name) for name in schedules)
    colours = decoder_colours([*colours, *((1, name) for name in decoders)])
    both = is_padded(predicted).nunique() > 1
    pairs = [(model, padded) for model in lines for padded in ((False, True) if both else (None,))]
    abreast = 1 if len(pairs) <= 2 else 2
    heights = [2.1] * -(-len(pairs) // abreast) + ([2.0] if decoders else [])
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    letters = iter("abcdefghijklmnopqrstuvwxyz")  # later panels have none
    for i, (model, padded) in enumerate(pairs):
        if i % abreast == 0:
            places = grid[i // abreast].subgridspec(1, 2 * abreast)
        rows = predicted[predicted["model"] == model]
        rows = rows if padded is None else rows[is_padded(rows) == padded]
        panels = [figure.add_subplot(places[2 * (i % abreast) + side]) for side in (0, 1)]
        _draw_prices(panels, rows, table["steps"], schedules, colours, most=9 if abreast == 1 else 6)
        name = fit_text(model, 230 / abreast - 75, 7.5)
        kind = {None: "", False: ", answers only", True: ", with padding"}[padded]
        for axes, title in zip(panels, (f"{name}{kind}", "Relative to uniform"), strict=True):
            plotting.panel_letter(axes, next(letters, ""), title)
    if decoders:
        shown = {name: colours[1, name] for name in decoders}
        _draw_measurements(figure, grid[-1], table, lines, shown, letters, given)
    plotting.outer_legend(figure, _handles(predicted, schedules, colours), _title(predicted, measured))
    return figure


def _as_decoded(table: pd.DataFrame) -> pd.Series:
    """Whether a row is of padded answers, which are those that are decoded, or of a model that has no such rows."""
    padded = is_padded(table)
    return padded | ~table["model"].isin(set(table.loc[padded & (table["statistic"] == "regret_expected"), "model"]))


def _title(predicted: pd.DataFrame, measured: pd.DataFrame) -> str:
    """How many answers the curves and the measurements are of."""
    prompts = predicted.loc[predicted["statistic"] == "price", "prompts"].astype(float).max()
    decoded = measured["prompts"].astype(float).max()
    counts, note = [], interval_note(decoded)
    if np.isfinite(prompts):
        counts.append(f"curve of {counted(prompts, 'reference answer')}" + _note(prompts) * (_note(prompts) != note))
    if np.isfinite(decoded):
        counts.append(f"{counted(decoded, 'decoded answer')} for each decoder and K{note}")
    return "; ".join(counts)


def _note(prompts: float) -> str:
    """In brackets, what the curves of few answers lack: intervals, and with one answer also optimal step sizes."""
    return " (no interval, no optimal step sizes)" if prompts < 2 else interval_note(prompts)


def _handles(predicted: pd.DataFrame, schedules: list[str], colours: dict) -> list[Artist]:
    """Legend entries: schedules by colour and marker, kinds of estimate by marker and line style."""
    grey = {"color": GREY, "linewidth": 1.1}
    kinds = {
        "bound": Line2D([], [], linestyle="-.", label="Li and Cai's bound (uniform)", **grey),
        "exact": Line2D([], [], linestyle="", marker="_", markersize=9, markeredgewidth=1.4, color="k", label="exact"),
        "sampled": Line2D([], [], marker="o", markersize=4.5, mfc="white", label="sampled sentences (uniform)", **grey),
    }
    drawn = set(predicted["schedule"])
    entries = [
        Line2D(
            *([], []),
            color=colours[0, name],
            marker=MARKERS[i % 8],
            markersize=3.5,
            label=NAMES.get(name, name),
            linestyle="-" if name in BANDED else "--",
        )
        for i, name in enumerate(schedules)
        if name in drawn
    ]
    return [*entries, *(kind for name, kind in kinds.items() if (predicted["statistic"] == name).any())]


def _draw_prices(
    panels: list[Axes], table: pd.DataFrame, steps: pd.Series, schedules: list[str], colours: dict, most: int
) -> None:
    """Prices in one panel, their shares of the uniform one in the other; at most `most` labelled numbers of steps."""
    price, share = panels
    _draw_predicted(price, table[table["statistic"] != "relative"], schedules, colours, most)
    price.set_ylabel("price (nats per answer)")
    why = "uniform price\nis 0" if (table["statistic"] == "price").any() else "no values"
    _draw_relative(share, table[table["statistic"] == "relative"], steps, schedules, colours, most, why)
    share.set_ylabel("price / uniform price")
    for axes in panels:
        axes.set_xlabel("steps K (log scale)")


def _draw_predicted(axes: Axes, table: pd.DataFrame, schedules: list[str], colours: dict, most: int) -> None:
    """One model's price by schedule, with bands for BANDED, its bound; for known languages exact and sampled."""
    for (statistic, schedule), rows in table.groupby(["statistic", "schedule"], sort=False):
        order = schedules.index(schedule)
        colour, steps = colours[0, schedule], rows["steps"]
        if statistic == "price" and schedule in BANDED:
            marker = {"marker": MARKERS[order % 8], "markersize": 3, "zorder": 4}
            band(axes, rows, colour, over="steps", **marker)
        elif statistic == "price":
            style = {"marker": MARKERS[order % 8], "markersize": 2.5, "linewidth": 0.8, "linestyle": "--", "zorder": 3}
            axes.plot(steps, rows["value"], color=colour, **style)
        elif statistic == "bound":
            axes.plot(steps, rows["value"], color=GREY, linestyle="-.", linewidth=1, zorder=2)
        elif statistic == "exact":
            axes.plot(steps, rows["value"], color="k", linestyle="", marker="_", markersize=8, mew=1.2, zorder=5)
        else:
            axes.vlines(steps, rows["low"], rows["high"], color=GREY, linewidth=1.1, zorder=5)
            axes.plot(steps, rows["value"], color=GREY, linestyle="", marker="o", markersize=4.5, mfc="none", zorder=5)
    plotting.step_axis(axes, table["steps"], most=most)
    if table.empty:
        say_empty(axes)
    else:
        _widen(axes)
        _zero_and_log_axis(axes, table[["value", "low", "high"]].to_numpy(float))


def _widen(axes: Axes, factor: float = 1.12) -> None:
    """Widen a logarithmic axis at both ends, for markers and bars beside the first and the last value."""
    low, high = axes.get_xlim()
    axes.set_xlim(low / factor, high * factor)


def _draw_relative(
    axes: Axes, table: pd.DataFrame, steps: pd.Series, schedules: list[str], colours: dict, most: int, why: str
) -> None:
    """Prices as shares of the uniform one, side by side at each K; intervals may leave the panel, points do not.

    why: written where there are none.
    """
    drawn = [name for name in schedules if (table["schedule"] == name).any()]
    counts = np.log2(np.unique(table["steps"].to_numpy(float)))
    apart = min([APART, *(0.8 * np.diff(counts) / max(len(drawn), 1))])
    for i, name in enumerate(drawn):
        rows, order = table[table["schedule"] == name], schedules.index(name)
        at = rows["steps"] * 2.0 ** (apart * (i - (len(drawn) - 1) / 2))
        axes.vlines(at, rows["low"], rows["high"], color=colours[0, name], linewidth=1.2)
        marker = {"marker": MARKERS[order % 8], "markersize": 3.5, "linestyle": ""}
        axes.plot(at, rows["value"], color=colours[0, name], **marker)
    plotting.step_axis(axes, steps, most=most)
    if table.empty:
        say_empty(axes, why)
        return
    _widen(axes, 1.3)
    values = table["value"].to_numpy(float)
    axes.set_ylim(min(-0.05, 1.1 * values.min()), max(1.6, 1.15 * values.max()))
    axes.axhline(1, color=colours[0, schedules[0]], linewidth=1, zorder=1)
    plotting.zero_line(axes)


def _zero_and_log_axis(axes: Axes, values: np.ndarray) -> None:
    """A scale that is linear up to LINEAR nats either side of 0, the price of the last K, and logarithmic above."""
    lowest, highest = np.nanmin(values), np.nanmax(values)
    top = max(abs(lowest), abs(highest))
    top = top if top > 1e-6 else LINEAR  # nothing but rounding
    linear = LINEAR if top > 3 * LINEAR else 10.0 ** np.floor(np.log10(top))
    axes.set_yscale("symlog", linthresh=linear, linscale=1.0)
    decades = range(int(np.floor(np.log10(linear))), int(np.ceil(np.log10(top))) + 1)
    above = [step * 10.0**power for power in decades for step in (1, 3)]
    above = [tick for tick in above if linear <= tick <= 1.5 * top]
    above = above[:: -(-len(above) // 5)] if len(above) > 5 else above
    ticks = [0.0, linear / 2, *above]
    ticks = [-tick for tick in ticks[:0:-1] if lowest <= -tick] + ticks
    axes.set_yticks(ticks, [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(min(1.25 * lowest, -0.12 * linear), max(highest * 1.5, 0.3 * linear))
    plotting.zero_line(axes)


def _draw_measurements(
    figure: Figure,
    place: SubplotSpec,
    table: pd.DataFrame,
    lines: dict,
    colours: dict,
    letters: Iterator[str],
    given: set[str],
) -> None:
    """The last row: one panel per statistic of decoded answers, and the decoders' legend.

    given: statistics of the table before rows without values were left out.
    """
    places = place.subgridspec(1, len(MEASURED) + 1, width_ratios=[1, 1, 0.5])
    expected = table[(table["statistic"] == "regret_expected") & _as_decoded(table)]
    for i, (statistic, title, unit) in enumerate(MEASURED):
        axes = figure.add_subplot(places[i])
        rows = table[table["statistic"] == statistic]
        why = "no answer has text" if statistic in given else {"perplexity": "no judge"}.get(statistic, "no values")
        if statistic == "perplexity":
            _draw_perplexity(axes, rows[rows["value"] > 0], lines, colours, why)
        else:
            _draw_regret(axes, rows, expected, lines, colours, why)
        plotting.step_axis(axes, table["steps"], most=6)
        _widen(axes)
        axes.set_xlabel("steps K (log scale)")
        axes.set_ylabel(unit)
        plotting.panel_letter(axes, next(letters, ""), title)
    _decoder_legend(figure.add_subplot(places[-1]), lines, colours, len(expected) > 0)


def _draw_decoders(axes: Axes, table: pd.DataFrame, lines: dict, colours: dict) -> None:
    """Lines and bars by decoder and model, side by side at each number of steps."""
    cells = list(table.groupby(["model", "schedule"], sort=False))
    for i, ((model, decoder), rows) in enumerate(cells):
        at = rows["steps"] * 2.0 ** (0.18 * (i - (len(cells) - 1) / 2))
        colour = colours[decoder]
        axes.plot(at, rows["value"], color=colour, linestyle=lines[model], linewidth=0.9, marker="o", markersize=3)
        axes.vlines(at, rows["low"], rows["high"], color=colour, linewidth=1.2)


def _draw_regret(axes: Axes, table: pd.DataFrame, expected: pd.DataFrame, lines: dict, colours: dict, why: str) -> None:
    """Measured regret in front of the expected one; why: written where nothing was measured."""
    for model, rows in expected.groupby("model", sort=False):
        band(axes, rows, GREY, lines[model], over="steps", strength=0.2, linewidth=1, zorder=1.5)
    _draw_decoders(axes, table, lines, colours)
    if table.empty and expected.empty:
        say_empty(axes, why)
    elif table.empty:
        axes.text(0.97, 0.97, why, transform=axes.transAxes, ha="right", va="top", fontsize=SMALL)
    else:
        plotting.zero_line(axes)


def _draw_perplexity(axes: Axes, table: pd.DataFrame, lines: dict, colours: dict, why: str) -> None:
    """Measured perplexity on a log scale; why: written where nothing was measured."""
    _draw_decoders(axes, table, lines, colours)
    if table.empty:
        say_empty(axes, why)
        return
    values = table[["value", "low", "high"]].to_numpy(float)
    low, high = np.nanmin(values[values > 0]) / 1.2, np.nanmax(values) * 1.2
    ticks = np.outer(10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high)), [1, 2, 5]).ravel()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    ticks = ticks[:: -(-len(ticks) // 6)] if len(ticks) else ticks
    axes.set_yscale("log")
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(low, high)


def _decoder_legend(axes: Axes, lines: dict, colours: dict, expected: bool) -> None:
    """The decoders' own legend, beside what is measured of them."""
    axes.set_axis_off()
    handles = plotting.style_handles(lines) if len(lines) > 1 else []
    handles += [Line2D([], [], color=colour, marker="o", markersize=3, label=name) for name, colour in colours.items()]
    for handle in handles:
        handle.set_label(fit_text(handle.get_label(), 65, SMALL))
    if expected:
        handles.append(Line2D([], [], color=GREY, linewidth=1, label="expected regret\nfrom the curve"))
    axes.legend(handles=handles, loc="center left", borderaxespad=0, fontsize=SMALL, title="decoder", title_fontsize=7)
