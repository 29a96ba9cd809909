"""What one noise level leaves recoverable: by mask ratio, neighbours, position and class, and how far it varies."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from discreteness import plotting
from discreteness.plotting import CLASS_COLOURS, WIDTH, band, model_lines

COLUMNS = "model view variant group value low high prompts tokens".split()
VARIANT_COLOURS = {"text": "#0072B2", "all": "#8A8A8A"}
VARIANT_NAMES = {"text": "text tokens", "all": "all tokens, special ones too"}
MARKERS = "osD^"
GREY = "#444444"


def finite(table: pd.DataFrame, names: tuple[str, ...] = ("value", "low", "high")) -> pd.DataFrame:
    """The table with `names` as numbers, what is not finite as missing, and without rows that have no value."""
    numbers = table[list(names)].astype(float)
    return table.assign(**numbers.where(np.isfinite(numbers))).dropna(subset="value")


def say_empty(axes: Axes) -> None:
    """Say that a panel has nothing to show."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.text(0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes, color="#777777")


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose group is a finite number, in its order."""
    group = pd.to_numeric(rows["group"], errors="coerce").astype(float)
    return rows.assign(group=group)[np.isfinite(group)].sort_values("group")


def nearest(rows: pd.DataFrame, group: float) -> pd.Series | None:
    """The row whose group is the number nearest to `group`, the smaller of two equally near; None without rows."""
    rows = numbered(rows)
    return None if rows.empty else rows.iloc[int(np.argmin(np.abs(rows["group"].to_numpy() - group)))]


def estimate(row: pd.Series, signed: bool = False) -> str:
    """A value with its 95 % interval, if it has one: `2.31 [2.10, 2.52]`."""
    sign = "+" if signed else ""
    found = "" if np.isnan([row["low"], row["high"]]).any() else f" [{row['low']:{sign}.2f}, {row['high']:{sign}.2f}]"
    return f"{row['value']:{sign}.2f}{found}".replace("-", "\N{MINUS SIGN}")


def draw_information_decay(table: pd.DataFrame) -> Figure:
    """Draw recoverable information and its spread (columns `COLUMNS`), models in the table's order."""
    lines = model_lines(table["model"])
    table = finite(table)
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    places = figure.subplots(2, 3)
    by_number = (
        ("mask_ratio", "Recoverable information", "mask ratio"),
        ("distance_to_visible", "Nearest visible token", "distance in tokens"),
        ("position", "Position in the answer", "position"),
    )
    for axes, letter, (view, title, label) in zip(places[0], "abc", by_number, strict=True):
        _draw_numbers(axes, table[table["view"] == view], view, lines)
        axes.set_xlabel(label)
        plotting.panel_letter(axes, letter, title)
    places[0, 0].set_ylabel("R, nats a token")
    draws = (("d", "Class of token", _draw_classes), ("e", "Same noise, very different loss", _draw_spread))
    for axes, (letter, title, draw) in zip(places[1], (*draws, ("f", "Salience", _draw_salience)), strict=True):
        draw(axes, table, lines)
        plotting.panel_letter(axes, letter, title)
    plotting.outer_legend(figure, _handles(table, lines), _about(table, lines))
    return figure


def _about(table: pd.DataFrame, lines: dict) -> str:
    """Whose information it is, if one model's, and from how many answers and tokens."""
    prompts, tokens = (table[name].astype(float).max() for name in ("prompts", "tokens"))
    known = [(prompts, "reference answers"), (tokens, "predictions of a token")]
    numbers = [f"{number:,.0f} {name}" for number, name in known if np.isfinite(number)]
    return ", ".join([*(lines if len(lines) == 1 else []), *numbers])


def _handles(table: pd.DataFrame, lines: dict) -> list[Artist]:
    """Legend entries: models by line style and marker if there are several, tokens counted by colour."""
    looks = {"color": GREY, "markersize": 3.5}
    several = lines.items() if len(lines) > 1 else []
    models = [
        Line2D([], [], linestyle=style, marker=MARKERS[i % 4], label=name, **looks)
        for i, (name, style) in enumerate(several)
    ]
    found = [name for name in VARIANT_COLOURS if (table["variant"] == name).any()]
    look = {"linewidth": 2.5}
    return [*models, *(Line2D([], [], color=VARIANT_COLOURS[v], label=VARIANT_NAMES[v], **look) for v in found)]


def _draw_numbers(axes: Axes, table: pd.DataFrame, view: str, lines: dict) -> None:
    """Recoverable information over a number: text tokens in front of all tokens."""
    table = numbered(table[table["variant"].isin(VARIANT_COLOURS)])
    if view == "distance_to_visible":
        table = table[table["group"] > 0]
    for variant in ("all", "text"):
        for model, style in lines.items():
            rows = table[(table["variant"] == variant) & (table["model"] == model)]
            look = {"over": "group", "strength": 0.15, "marker": "o" if len(rows) < 20 else "", "markersize": 2.5}
            band(axes, rows, VARIANT_COLOURS[variant], style, **look)
    if table.empty:
        say_empty(axes)
    else:
        axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    if view == "mask_ratio":
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    elif view == "distance_to_visible":
        plotting.step_axis(axes, table["group"], most=6)
    else:
        plotting.log_position_axis(axes, int(table["group"].max()) + 1 if len(table) else 1)


def _points(axes: Axes, rows: pd.DataFrame, places: dict, lines: dict, colour: dict) -> None:
    """Points with bars at the places of their groups, models side by side."""
    for i, model in enumerate(lines):
        for _, row in rows[rows["model"] == model].iterrows():
            at = places[row["group"]] + 0.16 * (i - (len(lines) - 1) / 2)
            look = {"color": colour[row["group"]], "linewidth": 1.1}
            axes.plot([at, at], [row["low"], row["high"]], **look)
            axes.plot([at], [row["value"]], marker=MARKERS[i % 4], markersize=4, **look)
    axes.set_xlim(-0.6, len(places) - 0.4)


def _draw_classes(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """Recoverable information by class of token; a class that text lacks as it is among all tokens."""
    rows = table[(table["view"] == "token_class") & table["group"].isin(list(CLASS_COLOURS))]
    rows = rows.sort_values("variant", ascending=False, kind="stable").drop_duplicates(["model", "group"])
    found = [name for name in CLASS_COLOURS if (rows["group"] == name).any()]
    _points(axes, rows, {name: i for i, name in enumerate(found)}, lines, CLASS_COLOURS)
    short = {"punctuation": "punct."}
    axes.set_xticks(range(len(found)), [short.get(name, name) for name in found], fontsize=plotting.SMALL)
    axes.set_ylabel("R, nats a token")
    if rows.empty:
        say_empty(axes)
    else:
        axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)


def _draw_spread(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """The 90th less the 10th percentile of what is recoverable at one mask ratio, with its value at half in figures."""
    table = table[(table["view"] == "spread") & (table["variant"] == "p90_p10")]
    said = []
    for model, style in lines.items():
        rows = numbered(table[table["model"] == model])
        band(axes, rows, VARIANT_COLOURS["text"], style, over="group", marker="o", markersize=2.5, strength=0.15)
        half = nearest(rows, 0.5)
        if half is not None:
            whose = f"{model}, " if len(lines) > 1 else ""
            said.append(plotting.printable(f"{whose}{half['group']:.2g} masked: {estimate(half)}"))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel("mask ratio")
    axes.set_ylabel("p90 − p10 of R, nats")
    if not axes.lines:
        say_empty(axes)
        return
    axes.set_ylim(bottom=0)
    said = [plotting.fit_text(text, 125, 6.5) for text in said]
    axes.text(0.04, 0.05, "\n".join(said), transform=axes.transAxes, fontsize=6.5, va="bottom", linespacing=1.3)


def _draw_salience(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """Loss of content and function words at the same noise level, and the paired difference in figures."""
    table = table[(table["view"] == "salience") & (table["variant"] == "mean_nll")]
    places = {"content": 0, "function": 1}
    _points(axes, table[table["group"].isin(list(places))], places, lines, CLASS_COLOURS)
    axes.set_xticks([0, 1], ["content words", "function words"])
    axes.set_ylabel("loss, nats a token")
    if not axes.lines:
        say_empty(axes)
        return
    low, high = axes.get_ylim()
    said = []
    for model in lines:
        for _, row in table[(table["model"] == model) & (table["group"] == "difference")].iterrows():
            whose = f"{model}, " if len(lines) > 1 else ""
            said.append(plotting.printable(f"{whose}difference: {estimate(row, signed=True)}"))
    axes.set_ylim(min(0, low), max(high, 0) * (1.1 + 0.12 * len(said)) or 1)
    said = [plotting.fit_text(text, 125, 6.5) for text in said]
    axes.text(0.97, 0.98, "\n".join(said), transform=axes.transAxes, fontsize=6.5, va="top", ha="right")
