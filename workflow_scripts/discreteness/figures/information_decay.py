"""Information that masked tokens keep: by mask ratio, neighbours, position and class of token, and its spread."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discreteness.figures import plotting
from discreteness.figures.notes import counted, interval_note, say_empty
from discreteness.figures.plotting import CLASS_COLOURS, GREY, SMALL, WIDTH, band, is_padded, model_lines
from discreteness.figures.text import fit_text

COLUMNS = "model padding view variant group value low high prompts tokens".split()
SERIES = {"answers only": "#D55E00", "text of padded answers": "#D55E00", "answers with padding": "#0072B2"}
BY_NUMBER = (  # (view, title, horizontal axis) of the first row of panels
    ("mask_ratio", "Share of the answer masked", "mask ratio"),
    ("distance_to_visible", "Nearest visible token", "distance (tokens, log scale)"),
    ("position", "Position in the answer", "position (tokens, log scale)"),
)
SALIENCE = ("content", "function", "difference")
MARKERS = "osD^"
# Answers that a point needs, or all where there are fewer: the mean of a few answers says little about others.
FEWEST = 10
SHORT = {"punctuation": "punct."}


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose group is a finite number, sorted by it."""
    group = pd.to_numeric(rows["group"], errors="coerce").astype(float)
    return rows.assign(group=group)[np.isfinite(group)].sort_values("group")


def nearest(rows: pd.DataFrame, group: float) -> pd.Series | None:
    """The row whose group is the number nearest to `group`, the smaller of two equally near; None without rows."""
    rows = numbered(rows)
    return None if rows.empty else rows.iloc[int(np.argmin(np.abs(rows["group"].to_numpy() - group)))]


def estimate(row: pd.Series, signed: bool = False) -> str:
    """A value with its 95 % interval, if it has one: `2.31 [2.10, 2.52]`."""
    sign = "+" if signed else ""
    ends = "" if np.isnan([row["low"], row["high"]]).any() else f" [{row['low']:{sign}.2f}, {row['high']:{sign}.2f}]"
    return f"{row['value']:{sign}.2f}{ends}".replace("-", "\N{MINUS SIGN}")


def with_series(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `series`, one of SERIES, or missing in rows that are not drawn.

    Of a model whose answers were not measured alone, the text tokens of its padded answers are drawn in their place.
    """
    padded, alone = is_padded(table), set(table.loc[~is_padded(table), "model"])
    text = (table["variant"] != "all") & ~table["model"].isin(alone)
    series = np.where(padded & text, "text of padded answers", np.where(padded, "answers with padding", "answers only"))
    is_drawn = ~padded & (table["variant"] != "text") | padded & (text | (table["variant"] == "all"))
    return table.assign(series=pd.Series(series, table.index).where(is_drawn))


def draw(table: pd.DataFrame) -> Figure:
    """Draw recoverable information and its spread (columns `COLUMNS`), models in the table's order."""
    lines = model_lines(table["model"])
    table = with_series(plotting.finite(table).dropna(subset="value"))
    fewest = min(FEWEST, table["prompts"].astype(float).max())
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    places = figure.subplots(2, 3)
    for axes, letter, (view, title, label) in zip(places[0], "abc", BY_NUMBER, strict=True):
        _draw_numbers(axes, table[table["view"] == view], view, lines, fewest)
        axes.set_xlabel(label)
        axes.set_ylabel("mean R (nats per token)")
        plotting.panel_letter(axes, letter, title)
    titles = ("Same noise, very different loss", "Class of token", "One word class masked")
    _draw_spread(places[1, 0], table[table["view"] == "spread"], lines)
    _draw_classes(places[1, 1], table, lines, fewest)
    _draw_salience(places[1, 2], table, lines)
    for axes, letter, title in zip(places[1], "def", titles, strict=True):
        plotting.panel_letter(axes, letter, title)
    plotting.outer_legend(figure, _handles(table, lines), _title(table, lines))
    return figure


def _title(table: pd.DataFrame, lines: dict) -> str:
    """The model, if there is only one, the number of answers and, where they fit in, those of masked tokens."""
    models = list(lines) if len(lines) == 1 else []
    rows = table[(table["view"] == "mask_ratio") & table["series"].notna()].astype({"prompts": float, "tokens": float})
    if rows.empty:
        return ", ".join(models)
    first = rows[rows["model"] == rows["model"].iloc[0]].groupby("series", sort=False)["tokens"].sum()
    tokens = ", ".join(f"{number:,.0f} in {name}" for name, number in first.items())
    answers = rows["prompts"].max()
    short = ", ".join([*models, counted(answers, "reference answer") + interval_note(answers)])
    whole = f"{short}; masked tokens: {tokens}"
    return short if plotting.fit_title(whole).endswith("…") else whole


def _handles(table: pd.DataFrame, lines: dict) -> list[Artist]:
    """Legend entries: models by line style and marker if there are several, kinds of answers by colour."""
    models = plotting.style_handles(lines) if len(lines) > 1 else []
    for i, handle in enumerate(models):
        handle.set(marker=MARKERS[i % 4], markersize=3.5)
    kinds = {name: colour for name, colour in SERIES.items() if (table["series"] == name).any()}
    return [*models, *plotting.colour_handles(kinds)]


def _draw_numbers(axes: Axes, table: pd.DataFrame, view: str, lines: dict, fewest: float) -> None:
    """Mean recoverable information over a number, as points with bands, where at least `fewest` answers have it."""
    given = len(table)
    table = numbered(table[table["prompts"].astype(float) >= fewest])
    if view == "distance_to_visible":
        table = table[table["group"] > 0]
    for series, colour in reversed(SERIES.items()):
        for i, (model, style) in enumerate(lines.items()):
            rows = table[(table["series"] == series) & (table["model"] == model)]
            band(axes, rows, colour, style, over="group", strength=0.22, marker=MARKERS[i % 4], markersize=2.3)
    if table.empty:
        say_empty(axes, _why_empty(given, fewest))
    else:
        plotting.zero_line(axes)
    if view == "mask_ratio":
        _ratio_axis(axes)
    elif view == "distance_to_visible":
        plotting.step_axis(axes, table["group"], most=6)
        highest = table["group"].max() if len(table) else 1
        ticks = [2.0**power for power in range(20) if 2**power <= highest]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    else:
        plotting.log_position_axis(axes, int(1.15 * table["group"].max()) + 1 if len(table) else 1)


def _why_empty(given: int, fewest: float) -> str:
    """Why a panel has no points: the table has no rows for it, or only rows of fewer than `fewest` answers."""
    return f"fewer than {counted(fewest, 'answer')}" if given else "no values"


def _ratio_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _draw_spread(axes: Axes, spread: pd.DataFrame, lines: dict) -> None:
    """Median and tenth and ninetieth percentiles of R by mask ratio, and in figures their distance near one half."""
    notes = []
    for i, (model, style) in enumerate(lines.items()):
        rows = spread[spread["model"] == model]
        alone = ~is_padded(rows)
        rows = rows[alone] if alone.any() else rows
        p10, p50, p90 = (numbered(rows[rows["variant"] == name]).set_index("group") for name in ("p10", "p50", "p90"))
        both = p10.index.intersection(p90.index)
        colour = SERIES["answers only"]
        axes.fill_between(both, p10["value"][both], p90["value"][both], color=colour, alpha=0.16, linewidth=0)
        for percentile in (p10, p90):
            band(axes, percentile.reset_index(), colour, style, over="group", strength=0.3, linewidth=0.9)
        axes.plot(p50.index, p50["value"], color=GREY, linestyle=style, marker=MARKERS[i % 4], markersize=2.3)
        half = nearest(rows[rows["variant"] == "p90_p10"], 0.5)
        if half is not None:
            if len(lines) == 1 and half["group"] in both:
                _draw_arrow(axes, half["group"], p10["value"], p90["value"])
            whose = f"{model}: " if len(lines) > 1 else f"p90 − p10 at {half['group']:.2g} masked:\n"
            notes += f"{whose}{estimate(half)}".split("\n")
    axes.set_xlabel("mask ratio")
    axes.set_ylabel("R (nats per token)")
    _ratio_axis(axes)
    if not axes.lines and not notes:
        say_empty(axes)
        return
    plotting.zero_line(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * 0.13 * len(notes))
    _write_notes(axes, notes, 0.985, "top")


def _draw_arrow(axes: Axes, at: float, low: pd.Series, high: pd.Series) -> None:
    """An arrow between two curves at one mask ratio."""
    arrow = {"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0, "linewidth": 0.9, "color": "#111111"}
    axes.annotate("", (at, high[at]), (at, low[at]), arrowprops=arrow)


def _write_notes(axes: Axes, notes: list[str], height: float, side: str) -> None:
    """Lines of small text at the right of a panel."""
    text = "\n".join(fit_text(note, 125, SMALL) for note in notes)
    axes.text(0.97, height, text, transform=axes.transAxes, fontsize=SMALL, va=side, ha="right")


def _rows_of_points(axes: Axes, rows: pd.DataFrame, names: dict[str, str], lines: dict, colours: dict) -> None:
    """Points with bars, one row per group from top to bottom, models below each other; names: labels of groups."""
    apart = 0.7 / max(len(lines), 1)
    for i, model in enumerate(lines):
        for _, row in rows[rows["model"] == model].iterrows():
            at = list(names).index(row["group"]) + apart * (i - (len(lines) - 1) / 2)
            style = {"color": colours[row["group"]], "linewidth": 1.3}
            axes.plot([row["low"], row["high"]], [at, at], **style)
            axes.plot([row["value"]], [at], marker=MARKERS[i % 4], markersize=4, **style)
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
    names = {name: SHORT.get(name, name) for name in CLASS_COLOURS if (rows["group"] == name).any()}
    axes.set_xlabel("mean R (nats per token)")
    if rows.empty:
        say_empty(axes, _why_empty(given, fewest))
    else:
        _rows_of_points(axes, rows, names, lines, CLASS_COLOURS)


def _draw_salience(axes: Axes, table: pd.DataFrame, lines: dict) -> None:
    """Loss of content and of function words at the same noise level, and the paired difference, also in figures."""
    rows = table[(table["view"] == "salience") & (table["variant"] == "mean_nll") & table["group"].isin(SALIENCE)]
    axes.set_xlabel("loss (nats per masked token)")
    if rows.empty:
        say_empty(axes, "no answer has both\ncontent and function words")
        return
    _rows_of_points(axes, rows, {name: name for name in SALIENCE}, lines, {**CLASS_COLOURS, "difference": GREY})
    low, high = axes.get_xlim()
    axes.set_xlim(min(0, low), max(high, 0) * 1.05 or 1)
    if len(lines) == 1:
        for _, row in rows.iterrows():
            _write_estimate(axes, row, SALIENCE.index(row["group"]))
        return
    differences = rows[rows["group"] == "difference"]
    notes = [
        f"{model}: {estimate(row, signed=True)}"
        for model in lines
        for _, row in differences[differences["model"] == model].iterrows()
    ]
    axes.set_ylim(2.6 + 0.4 * len(notes), -0.6)
    _write_notes(axes, notes, 0.02, "bottom")


def _write_estimate(axes: Axes, row: pd.Series, at: int) -> None:
    """An estimate above its bar, from the end that is nearer to the middle of the panel inwards."""
    side, end = ("left", row["low"]) if row["value"] < np.mean(axes.get_xlim()) else ("right", row["high"])
    place = {"xytext": (0, 5), "textcoords": "offset points", "ha": side, "va": "bottom"}
    text = estimate(row, signed=row["group"] == "difference")
    axes.annotate(text, (row["value"] if np.isnan(end) else end, at), fontsize=SMALL, **place)
