"""Samples of a language that is known exactly: invalid sentences, divergence and diversity, by number of steps."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from discreteness.figures import plotting
from discreteness.figures.notes import counted, say_empty
from discreteness.figures.plotting import GREY, SMALL, WIDTH, band, decoder_colours, model_lines
from discreteness.figures.text import fit_text

COLUMNS = "model decoder temperature steps statistic value low high samples".split()
KINDS = {
    "invalid_agreement": "agreement",
    "invalid_distant_agreement": "distant\nagreement",
    "invalid_article": "article",
    "invalid_selection": "selection",
    "invalid_coreference": "coreference",
    "invalid_idiom": "idiom",
    "invalid_other": "other",
}
SAMPLED = ("invalid", "distinct")  # statistics of sampled sentences, by decoder and temperature
MARKERS = "os^DvPX*"
USUAL_DECODER, USUAL_TEMPERATURE = "random", 1.0
ABREAST = 4  # temperatures side by side
MODELS_ABREAST = 2  # models beside the divergence


def usual(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the random decoder (or the first there is) at temperature 1 (or the nearest there is)."""
    decoders = list(rows["decoder"])
    rows = rows[rows["decoder"] == (USUAL_DECODER if USUAL_DECODER in decoders else next(iter(decoders), ""))]
    distance = (rows["temperature"] - USUAL_TEMPERATURE).abs().fillna(np.inf)
    return rows[distance == distance.min()]


def temperatures_of(table: pd.DataFrame) -> list[float]:
    """The temperatures of sampled sentences, rising; NaN, last, for decoders that have none."""
    temperatures = table.loc[table["statistic"].isin(SAMPLED), "temperature"].unique()
    return sorted(temperatures, key=lambda temperature: (np.isnan(temperature), temperature))


def draw(table: pd.DataFrame) -> Figure:
    """Draw samplers by number of steps (columns `COLUMNS`), models and decoders in the table's order."""
    table = plotting.finite(table, ("temperature", "steps", "value", "low", "high")).dropna(subset="steps")
    lines, temperatures = model_lines(table["model"]), temperatures_of(table)
    colours = decoder_colours(table.loc[table["statistic"].isin(SAMPLED), "decoder"])
    markers = {temperature: MARKERS[i % len(MARKERS)] for i, temperature in enumerate(temperatures)}
    table = table.sort_values("steps")
    rows = max(1, -(-len(temperatures) // ABREAST)), max(1, -(-len(lines) // MODELS_ABREAST))
    heights = [1.85 * rows[0], 1.4, 2.1 * rows[1]]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=heights)
    _draw_invalid(figure, grid[0], table, lines, colours, markers)
    _draw_kinds(figure, grid[1], table, lines)
    _draw_divergence_and_diversity(figure, grid[2], table, lines, colours, markers)
    samples = table.loc[table["statistic"].isin(SAMPLED), "samples"].astype(float).max()
    number = counted(samples, "sentence") if samples > 0 else ""
    title = f"{number} per model, decoder, temperature and number of steps" if number else None
    plotting.outer_legend(figure, _handles(lines, colours, markers), title)
    return figure


def _handles(lines: dict, colours: dict, markers: dict) -> list[Line2D]:
    """Legend entries: models by line style, decoders by colour, temperatures by marker."""
    shapes = [
        Line2D([], [], color=GREY, linestyle="", marker=marker, markersize=4, label=_temperature(temperature))
        for temperature, marker in markers.items()
    ]
    return [*plotting.style_handles(lines), *plotting.colour_handles(colours), *shapes]


def _temperature(temperature: float) -> str:
    return "no temperature" if np.isnan(temperature) else f"temperature {temperature:g}"


def _at(table: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """The rows of a temperature; NaN is one too."""
    return table[table["temperature"].isna() if np.isnan(temperature) else table["temperature"] == temperature]


def _share_axis(axes: Axes, labels: bool = True, room: float = 0.0) -> None:
    """Shares from 0 to 1 on the vertical axis, and above it `room` for text."""
    axes.set_ylim(-0.02, 1.02 + room)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if labels else [""] * 3)
    axes.spines["left"].set_bounds(-0.02, 1.02)


def _draw_invalid(
    figure: Figure, place: SubplotSpec, table: pd.DataFrame, lines: dict, colours: dict, markers: dict
) -> None:
    """Share of invalid sentences by steps: one panel per temperature, decoders by colour, models by line style."""
    table = table[table["statistic"] == "invalid"]
    abreast = min(max(len(markers), 1), ABREAST)
    grid = place.subgridspec(-(-max(len(markers), 1) // abreast), abreast)
    for i, (temperature, marker) in enumerate(markers.items()):
        axes = figure.add_subplot(grid[divmod(i, abreast)])
        panel = _at(table, temperature)
        for (model, decoder), rows in panel.groupby(["model", "decoder"], sort=False):
            style = {"marker": marker, "markersize": 2.5, "strength": 0.15}
            band(axes, rows, colours[decoder], lines[model], over="steps", **style)
        plotting.step_axis(axes, table["steps"])
        _share_axis(axes, labels=i % abreast == 0)
        if i % abreast == 0:
            axes.set_ylabel("share of invalid sentences")
        axes.set_xlabel("steps")
        plotting.panel_letter(axes, "" if i else "a", _temperature(temperature))


def _draw_kinds(figure: Figure, place: SubplotSpec, table: pd.DataFrame, lines: dict) -> None:
    """Share of sentences with each kind of error, of the decoder and temperature of `usual`: one panel per kind."""
    rows = usual(table[table["statistic"].isin(KINDS)])
    highest = np.nanmax([0.01, *rows[["value", "high"]].to_numpy(float).ravel()])
    grid = place.subgridspec(1, len(KINDS))
    for i, (kind, name) in enumerate(KINDS.items()):
        axes = figure.add_subplot(grid[i])
        for model, style in lines.items():
            chosen = rows[(rows["statistic"] == kind) & (rows["model"] == model)]
            band(axes, chosen, GREY, style, over="steps", marker="o", markersize=2)
        plotting.step_axis(axes, rows["steps"], most=4)
        axes.set_ylim(-0.02 * highest, 1.5 * highest)  # room for the name
        axes.set_yticks([tick for tick in MaxNLocator(3).tick_values(0, highest) if 0 <= tick <= highest])
        axes.spines["left"].set_bounds(-0.02 * highest, highest)
        axes.tick_params(labelleft=i == 0)
        axes.set_xlabel("steps")
        if i == 0:
            axes.set_ylabel("share")
            _write_title_of_kinds(axes, rows)
        corner = {"xycoords": "axes fraction", "ha": "right", "va": "top", "fontsize": 7, "color": "#222222"}
        axes.annotate(name, (1, 1), **corner).set_in_layout(False)


def _write_title_of_kinds(axes: Axes, rows: pd.DataFrame) -> None:
    """The title above the panels of kinds, with their decoder and temperature."""
    title = "Invalid sentences by kind of error"
    if len(rows):
        title += f" ({rows['decoder'].iloc[0]}, {_temperature(rows['temperature'].iloc[0])})"
    plotting.panel_letter(axes, "b", fit_text(title, 440, 7.5), spanning=True)


def _draw_divergence_and_diversity(
    figure: Figure, place: SubplotSpec, table: pd.DataFrame, lines: dict, colours: dict, markers: dict
) -> None:
    """The divergence of all models in one panel, then diversity in one panel per model."""
    abreast = min(max(len(lines), 1), MODELS_ABREAST)
    rows = -(-max(len(lines), 1) // abreast)
    grid = place.subgridspec(rows, 1 + abreast, width_ratios=[1.3, *[1] * abreast])
    _draw_divergence(figure.add_subplot(grid[0, 0]), table, lines)
    for i, model in enumerate(lines):
        axes = figure.add_subplot(grid[i // abreast, 1 + i % abreast])
        first = i % abreast == 0
        _draw_diversity(axes, table[table["model"] == model], lines[model], colours, markers, labels=first)
        name = fit_text(model, 250 / abreast, 7.5)
        plotting.panel_letter(axes, "" if i else "d", name if i else f"Diversity, {name}")


def _draw_divergence(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """KL from the language to the sampler: the mean over orders, from the curve and sampled, and the sampler's own."""
    styles = {
        "expected_kl": {"label": "averaged over orders, from the curve", "color": GREY},
        "sampled_kl": {"label": "averaged over orders, sampled", "fmt": "o", "color": "#0072B2"},
        "own_kl": {"label": "of the sampler itself", "fmt": "D", "color": "#D55E00", "markerfacecolor": "white"},
    }
    handles, steps = {}, []
    for model, style in lines.items():
        for statistic, label_and_style in styles.items():
            rows = usual(table[(table["statistic"] == statistic) & (table["model"] == model)]).dropna(subset="value")
            if rows.empty:
                continue
            steps += list(rows["steps"])
            if statistic == "expected_kl":
                axes.plot(rows["steps"], rows["value"], linestyle=style, **label_and_style)
                handles[statistic] = Line2D([], [], **label_and_style)
                continue
            ends = np.clip([rows["value"] - rows["low"], rows["high"] - rows["value"]], 0, None)
            bars = {"markersize": 3.5, "elinewidth": 0.8, "capsize": 1.5, "zorder": 3}
            handles[statistic] = axes.errorbar(rows["steps"], rows["value"], yerr=ends, **bars, **label_and_style)
    plotting.step_axis(axes, steps)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.set_xlabel("steps")
    axes.set_ylabel("KL (nats)")
    if handles:
        in_order = [handles[name] for name in styles if name in handles]
        axes.legend(handles=in_order, loc="upper right", labelspacing=0.2).set_in_layout(False)
    else:
        say_empty(axes)
    plotting.panel_letter(axes, "c", "Divergence from the language")


def _draw_diversity(axes: Axes, table: pd.DataFrame, style: str, colours: dict, markers: dict, labels: bool) -> None:
    """Distinct against invalid share: one path per decoder and temperature, from the fewest steps to the most."""
    keys = ["decoder", "temperature", "steps"]
    pair = (table[table["statistic"] == name].drop_duplicates(keys).set_index(keys)["value"] for name in SAMPLED)
    points = pd.concat(pair, axis=1, keys=SAMPLED, join="inner").dropna().reset_index()
    shapes = {f"{temperature:g}": marker for temperature, marker in markers.items()}  # NaN equals no key, its name does
    for (decoder, temperature), path in points.groupby(["decoder", "temperature"], sort=False, dropna=False):
        path, colour = path.sort_values("steps"), colours[decoder]
        axes.plot(path["invalid"], path["distinct"], color=colour, linestyle=style, linewidth=0.9)
        shape = shapes[f"{temperature:g}"]
        point_style = {
            "color": colour,
            "linestyle": "",
            "marker": shape,
            "clip_on": False,
            "in_layout": False,
            "zorder": 3,
        }
        between, first, last = path.iloc[1:-1], path.iloc[:1], path.iloc[-1:]
        axes.plot(between["invalid"], between["distinct"], markersize=1.5, **point_style)
        axes.plot(first["invalid"], first["distinct"], markersize=4, markerfacecolor="white", **point_style)
        axes.plot(last["invalid"], last["distinct"], markersize=4, **point_style)
    if points.empty:
        samples = table.loc[table["statistic"].isin(SAMPLED), "samples"].astype(float).max()
        say_empty(axes, "needs 2 sentences" if samples < 2 else "no values")
    _share_axis(axes, labels, room=0.22)
    fewest, most = points["steps"].min(), points["steps"].max()
    if fewest < most:
        note = f"hollow: {fewest:g} step{'' if fewest == 1 else 's'}\nfilled: {most:g} steps"
        place = {"transform": axes.transAxes, "va": "top", "in_layout": False}
        axes.text(0.02, 1, note, fontsize=SMALL, color="#555555", **place)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("invalid share")
    if labels:
        axes.set_ylabel("distinct share")
