"""What one noise level leaves recoverable: by mask ratio, neighbours, position and class, and how far it varies."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from discreteness.figures import plotting
from discreteness.figures.notes import counted, fitted, interval_note, say_empty
from discreteness.figures.plotting import CLASS_COLOURS, SMALL, WIDTH, band, model_lines

COLUMNS = "model padding view variant group value low high prompts tokens".split()
SERIES = {"answers only": "#D55E00", "text of padded answers": "#D55E00", "answers with padding": "#0072B2"}
MARKERS = "osD^"
GREY = "#444444"
FEWEST = 10  # answers behind a point, or all where there are fewer; what only some of them have says little of others
SHORT = {"punctuation": "punct."}


def finite(table: pd.DataFrame, names: tuple[str, ...] = ("value", "low", "high")) -> pd.DataFrame:
    """The table with `names` as numbers, what is not finite as missing, and without rows that have no value."""
    numbers = table[list(names)].astype(float)
    return table.assign(**numbers.where(np.isfinite(numbers))).dropna(subset="value")


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


def is_padded(table: pd.DataFrame) -> pd.Series:
    """Whether a row's answers were measured with their padding."""
    return table["padding"].astype(str).str.lower() == "true"


def with_series(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `series`, one of SERIES or missing; of a model whose answers were not measured alone, the text."""
    padded, alone = is_padded(table), set(table.loc[~is_padded(table), "model"])
    text = (table["variant"] != "all") & ~table["model"].isin(alone)
    series = np.where(padded & text, "text of padded answers", np.where(padded, "answers with padding", "answers only"))
    kept = ~padded & (table["variant"] != "text") | padded & (text | (table["variant"] == "all"))
    return table.assign(series=pd.Series(series, table.index).where(kept))


def draw_information_decay(table: pd.DataFrame) -> Figure:
    """Draw recoverable information and its spread (columns `COLUMNS`), models in the table's order."""
    lines = model_lines(table["model"])
    table = with_series(finite(table))
    fewest = min(FEWEST, table["prompts"].astype(float).max())
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    places = figure.subplots(2, 3)
    by_number = (
        ("mask_ratio", "Share of the answer masked", "mask ratio"),
        ("distance_to_visible", "Nearest visible token", "distance, tokens (log scale)"),
        ("position", "Place in the answer", "position, tokens (log scale)"),
    )
    for axes, letter, (view, title, label) in zip(places[0], "abc", by_number, strict=True):
        _draw_numbers(axes, table[table["view"] == view], view, lines, fewest)
        axes.set_xlabel(label)
        axes.set_ylabel("mean R, nats a token")
        plotting.panel_letter(axes, letter, title)
    titles = ("Same noise, very different loss", "Class of token", "Words masked by class")
    _draw_spread(places[1, 0], table, lines)
    _draw_classes(places[1, 1], table, lines, fewest)
    _draw_salience(places[1, 2], table, lines)
    for axes, letter, title in zip(places[1], "def", titles, strict=True):
        plotting.panel_letter(axes, letter, title)
    plotting.outer_legend(figure, _handles(table, lines), _about(table, lines))
    return figure


def _about(table: pd.DataFrame, lines: dict) -> str:
    """Whose information it is, if one model's, and from how many answers and tokens."""
    rows = table[(table["view"] == "mask_ratio") & table["series"].notna()].astype({"prompts": float, "tokens": float})
    if rows.empty:
        return ", ".join(lines if len(lines) == 1 else [])
    first = rows[rows["model"] == rows["model"].iloc[0]].groupby("series", sort=False)["tokens"].sum()
    tokens = ", ".join(f"{number:,.0f} in {name}" for name, number in first.items())
    answers = rows["prompts"].max()
    said = [*(lines if len(lines) == 1 else []), counted(answers, "reference answer") + interval_note(answers)]
    whole = f"{', '.join(said)}; masked tokens: {tokens}"
    return whole if fitted(whole) == plotting.printable(whole) else fitted(", ".join(said))


def _handles(table: pd.DataFrame, lines: dict) -> list[Artist]:
    """Legend entries: models by line style and marker if there are several, what is measured by colour."""
    looks = {"color": GREY, "markersize": 3.5}
    several = lines.items() if len(lines) > 1 else []
    models = [
        Line2D([], [], linestyle=style, marker=MARKERS[i % 4], label=name, **looks)
        for i, (name, style) in enumerate(several)
    ]
    found = [name for name in SERIES if (table["series"] == name).any()]
    return [*models, *(Line2D([], [], color=SERIES[name], linewidth=2.5, label=name) for name in found)]


def _draw_numbers(axes: Axes, table: pd.DataFrame, view: str, lines: dict, fewest: float) -> None:
    """Mean recoverable information over a number, as points with bands; what `fewest` answers have."""
    given = len(table)
    table = numbered(table[table["prompts"].astype(float) >= fewest])
    if view == "distance_to_visible":
        table = table[table["group"] > 0]
    for series, colour in reversed(SERIES.items()):
        for i, (model, style) in enumerate(lines.items()):
            rows = table[(table["series"] == series) & (table["model"] == model)]
            band(axes, rows, colour, style, over="group", strength=0.22, marker=MARKERS[i % 4], markersize=2.3)
    if table.empty:
        say_empty(axes, *_hidden(given, fewest))
    else:
        axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    if view == "mask_ratio":
        _ratio_axis(axes)
    elif view == "distance_to_visible":
        plotting.step_axis(axes, table["group"], most=6)
        highest = table["group"].max() if len(table) else 1
        ticks = [2.0**power for power in range(20) if 2**power <= highest]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    else:
        plotting.log_position_axis(axes, int(1.15 * table["group"].max()) + 1 if len(table) else 1)


def _hidden(given: int, fewest: float) -> list[str]:
    """Why a panel has no points though its table has rows, if it has any."""
    return [f"nothing that {counted(fewest, 'answer')} have"] if given else []


def _ratio_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _draw_spread(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """Between which values R lies for four tokens in five that are masked at one ratio, and the width near one half."""
    spread, said = table[table["view"] == "spread"], []
    for i, (model, style) in enumerate(lines.items()):
        mine = spread[spread["model"] == model]
        alone = ~is_padded(mine)
        mine = mine[alone] if alone.any() else mine
        colour = SERIES["answers only"]
        p10, p50, p90 = (numbered(mine[mine["variant"] == name]).set_index("group") for name in ("p10", "p50", "p90"))
        both = p10.index.intersection(p90.index)
        axes.fill_between(both, p10["value"][both], p90["value"][both], color=colour, alpha=0.16, linewidth=0)
        for rows in (p10, p90):
            band(axes, rows.reset_index(), colour, style, over="group", strength=0.3, linewidth=0.9)
        axes.plot(p50.index, p50["value"], color=GREY, linestyle=style, marker=MARKERS[i % 4], markersize=2.3)
        half = nearest(mine[mine["variant"] == "p90_p10"], 0.5)
        if half is not None:
            if len(lines) == 1 and half["group"] in both:
                at = half["group"]
                arrow = {"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0, "linewidth": 0.9, "color": "#111111"}
                axes.annotate("", (at, p90["value"][at]), (at, p10["value"][at]), arrowprops=arrow)
            whose = f"{model}: " if len(lines) > 1 else f"p90 − p10 at {half['group']:.2g} masked:\n"
            said += f"{whose}{estimate(half)}".split("\n")
    axes.set_xlabel("mask ratio")
    axes.set_ylabel("R, nats a token")
    if not axes.lines and not said:
        say_empty(axes)
        _ratio_axis(axes)
        return
    axes.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    _ratio_axis(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * 0.13 * len(said))
    said = [plotting.fit_text(plotting.printable(text), 125, SMALL) for text in said]
    axes.text(0.97, 0.985, "\n".join(said), transform=axes.transAxes, fontsize=SMALL, va="top", ha="right")


def _rows_of_points(axes: Axes, rows: pd.DataFrame, names: dict[str, str], lines: dict, colours: dict) -> None:
    """Points with bars in a row a group, from top to bottom, models below each other; each says its number."""
    apart = 0.7 / max(len(lines), 1)
    for i, model in enumerate(lines):
        for _, row in rows[rows["model"] == model].iterrows():
            at = list(names).index(row["group"]) + apart * (i - (len(lines) - 1) / 2)
            look = {"color": colours[row["group"]], "linewidth": 1.3}
            axes.plot([row["low"], row["high"]], [at, at], **look)
            axes.plot([row["value"]], [at], marker=MARKERS[i % 4], markersize=4, **look)
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.05)
    axes.axvline(0, color="#888888", linewidth=0.7, zorder=0)


def _draw_classes(axes: Axes, table: pd.DataFrame, lines: dict, fewest: float) -> None:
    """Recoverable information by class of token, in answers alone or, for special tokens, with the padding."""
    rows = table[(table["view"] == "token_class") & table["group"].isin(list(CLASS_COLOURS)) & table["series"].notna()]
    given = len(rows)
    rows = rows[rows["prompts"].astype(float) >= fewest]
    order = rows["series"].map({name: i for i, name in enumerate(SERIES)})
    rows = rows.assign(order=order).sort_values("order", kind="stable").drop_duplicates(["model", "group"])
    found = {name: SHORT.get(name, name) for name in CLASS_COLOURS if (rows["group"] == name).any()}
    axes.set_xlabel("mean R, nats a token")
    if rows.empty:
        say_empty(axes, *_hidden(given, fewest))
    else:
        _rows_of_points(axes, rows, found, lines, CLASS_COLOURS)


def _draw_salience(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """Loss of content and function words at the same noise level, and the paired difference, in figures too."""
    rows = table[(table["view"] == "salience") & (table["variant"] == "mean_nll")]
    names = {"content": "content", "function": "function", "difference": "difference"}
    rows = rows[rows["group"].isin(list(names))]
    axes.set_xlabel("loss, nats a masked token")
    if rows.empty:
        say_empty(axes, "no answer has both\ncontent and function words")
        return
    _rows_of_points(axes, rows, names, lines, {**CLASS_COLOURS, "difference": GREY})
    low, high = axes.get_xlim()
    axes.set_xlim(min(0, low), max(high, 0) * 1.05 or 1)
    said = []
    if len(lines) == 1:
        for i, name in enumerate(names):
            for _, row in rows[rows["group"] == name].iterrows():
                place = {"xycoords": "data", "xytext": (0, 5), "textcoords": "offset points", "fontsize": SMALL}
                text = estimate(row, signed=name == "difference")
                middle = np.mean(axes.get_xlim())
                side = "left" if row["value"] < middle else "right"
                end = row["low" if side == "left" else "high"]
                at = row["value"] if np.isnan(end) else end
                axes.annotate(text, (at, i), ha=side, va="bottom", **place)
        return
    for model in lines:
        for _, row in rows[(rows["model"] == model) & (rows["group"] == "difference")].iterrows():
            said.append(plotting.printable(f"{model}: {estimate(row, signed=True)}"))
    axes.set_ylim(2.6 + 0.4 * len(said), -0.6)
    said = [plotting.fit_text(text, 125, SMALL) for text in said]
    axes.text(0.97, 0.02, "\n".join(said), transform=axes.transAxes, fontsize=SMALL, va="bottom", ha="right")
