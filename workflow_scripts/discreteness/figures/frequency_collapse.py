"""Collapse of predictions with distance from the prompt: every mean over prompts, by position."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from discreteness.figures import plotting
from discreteness.figures.notes import counted, interval_note, say_empty
from discreteness.figures.plotting import CLASS_COLOURS, GREY, MODEL_COLOURS, SMALL, WIDTH, band
from discreteness.figures.text import fit_text, text_width

COLUMNS = "model dataset position statistic variant token_class value low high prompts".split()
BITS = np.log(2)  # nats per bit
VARIANTS = {"all": "all tokens", "without_eos": "special tokens removed"}
GUIDE = {"color": "#888888", "linewidth": 0.7, "zorder": 0}


def curve(table: pd.DataFrame, model: str, statistic: str, variant: str | None = None) -> pd.DataFrame:
    """Rows of one statistic of one model in order of position; `variant` None: that of all tokens."""
    rows = table[(table["model"] == model) & (table["statistic"] == statistic)]
    wanted = ["", "all"] if variant is None else [variant]
    return rows[rows["variant"].isin(wanted)].sort_values("position")


def class_shares(table: pd.DataFrame, model: str, variant: str) -> pd.DataFrame:
    """Share of each class (columns, in their fixed order) at each position (rows)."""
    rows = curve(table, model, "class_share", variant)
    shares = rows.pivot(index="position", columns="token_class", values="value")
    return shares.reindex(columns=list(CLASS_COLOURS)).fillna(0.0)


def draw(table: pd.DataFrame, *, corruption: Mapping[str, str] | None = None) -> Figure:
    """Draw the aggregates of a data set's table (columns `COLUMNS`), models in the table's order.

    corruption: each model's (see `Denoiser`), to say which of them read the reference answer.
    """
    table = table.assign(variant=table["variant"].fillna(""))
    models = list(dict.fromkeys(table["model"]))
    span = int(table["position"].max()) + 1
    # Several models need a second row of shares and a longer legend in the panel below it.
    heights = [1.4, 1.6, 1.45] if len(models) == 1 else [2.1, 1.95, 1.45]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=heights)
    _draw_shares(figure, grid[0], table, models, span)
    _draw_head(figure, table, models, [model for model in models if (corruption or {}).get(model) == "causal"])
    middle = grid[1].subgridspec(1, 2, width_ratios=[2, 1.15])
    _draw_information(figure.add_subplot(middle[0]), table, models, span)
    _draw_entropy(figure.add_subplot(middle[1]), table, models, span)
    last = grid[2].subgridspec(1, 3)
    _draw_probabilities(figure.add_subplot(last[0]), table, models, span)
    _draw_divergence(figure.add_subplot(last[1]), table, models, span)
    _draw_homogenisation(figure.add_subplot(last[2]), table, models, span)
    return figure


def _colours(models: list[str]) -> dict[str, str]:
    """One colour per model; a single model is black."""
    if len(models) == 1:
        return {models[0]: "#111111"}
    return {model: MODEL_COLOURS[i % len(MODEL_COLOURS)] for i, model in enumerate(models)}


def _draw_shares(figure: Figure, place: SubplotSpec, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Class of the most probable token as stacked areas, with and without special tokens: one column per model."""
    single = len(models) == 1
    grid = place.subgridspec(1, 2) if single else place.subgridspec(2, len(models))
    for column, model in enumerate(models):
        for row, (variant, name) in enumerate(VARIANTS.items()):
            axes = figure.add_subplot(grid[0, row] if single else grid[row, column])
            shares = class_shares(table, model, variant)
            axes.stackplot(
                shares.index,
                shares.to_numpy().T,
                colors=list(CLASS_COLOURS.values()),
                edgecolor="white",
                linewidth=0.3,
            )
            bottom, left = single or row == 1, (row if single else column) == 0
            plotting.log_position_axis(axes, span, labels=bottom)
            axes.set_ylim(0, 1)
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if left else [""] * 3)
            if left:
                axes.set_ylabel("share of prompts" if single else "\n".join(name.rsplit(" ", 1)))
            if bottom:
                axes.set_xlabel("position")
            letter = "a" if (row, column) == (0, 0) else ""
            if single:
                plotting.panel_letter(axes, letter, "Class of the most probable token: " + name if letter else name)
            elif row == 0:
                plotting.panel_letter(axes, letter, fit_text(model, 440 / len(models) - 14, 7.5))


def _draw_head(figure: Figure, table: pd.DataFrame, models: list[str], reading: list[str]) -> None:
    """A legend of token classes, titled with data set, number of prompts and the models that read the answer."""
    prompts = table["prompts"].max()
    data = f"{table['dataset'].iloc[0]}, {counted(prompts, 'prompt')}{interval_note(prompts)}"
    title = f"{models[0]} on {data}" if len(models) == 1 else f"{data}: class of the most probable token"
    if reading:
        verb = "reads" if len(reading) == 1 else "read"
        title += f"\n{', '.join(reading)} {verb} the reference answer up to each position"
    title = "\n".join(map(plotting.fit_title, title.split("\n")))
    handles = plotting.class_handles(list(table["token_class"]))
    size = {"handlelength": 1, "handleheight": 0.8, "title_fontsize": 7.5}
    legend = figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), title=title, **size)
    legend.get_title().set_multialignment("center")


def _finish(axes: Axes, span: int, letter: str, title: str, unit: str, bits: bool = False) -> None:
    """Axis, unit and title of a panel of curves; `bits` adds a second axis."""
    plotting.log_position_axis(axes, span)
    axes.set_xlabel("position")
    axes.set_ylabel(unit)
    plotting.panel_letter(axes, letter, title)
    if bits:
        right = axes.secondary_yaxis("right", functions=(lambda nats: nats / BITS, lambda bits_: bits_ * BITS))
        right.set_ylabel("bits", rotation=270, labelpad=8)


def _legend(axes: Axes, styles: dict[str, str], place: str = "best") -> None:
    """A legend of line styles, by default where it hides least."""
    axes.legend(handles=plotting.style_handles(styles), loc=place)


def _line(label: str, **style) -> Line2D:
    """A legend entry, grey unless `style` has a colour."""
    return Line2D([], [], label=label, **({"color": GREY} | style))


def _bound(axes: Axes, value: float, text: str) -> None:
    """A dotted line at a quantity's largest possible value."""
    axes.axhline(value, linestyle=":", **GUIDE)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    axes.annotate(text, (1, value), xytext=(-2, 1), va="bottom", fontsize=SMALL, color="#555555", **place)


def _draw_information(axes: Axes, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Prompt information with its collapse point, and usable information."""
    colours = _colours(models)
    for model, colour in colours.items():
        band(axes, curve(table, model, "prompt_information"), colour)
        band(axes, curve(table, model, "usable_information"), colour, style="--", strength=0.12)
    prompts = int(table["prompts"].max())
    missing, bare = missing_information(table), without_interval(table)
    if len(missing) == 2:
        say_empty(axes, "\n".join(f"{name}: {why}" for name, why in missing.items()))
        _finish(axes, span, "b", "Information about the prompt", "information (nats)")
        return
    bound = np.log(prompts)
    axes.axhline(0, **GUIDE)
    if "prompt information" not in missing:
        _bound(axes, bound, f"at most ln {prompts} = {bound:.2f}")
    low, high = axes.get_ylim()
    low, high = low - 0.06 * (high - low), max(high, 1.1 * bound)
    high += 0.5 * (high - low) * ("prompt information" in missing)  # room for the legend
    axes.set_ylim(low, high)
    points = collapse_points(table)
    for model, x in points.items():
        axes.plot([x], [low], marker="^", markersize=5, color=colours[model], clip_on=False, zorder=5)
    handles = _information_handles(colours, points, missing | bare)
    share = (bound - low) / (high - low)  # of the panel, below the bound
    corner = {"loc": "upper right", "bbox_to_anchor": (1, share if share > 0.5 else 1), "labelspacing": 0.2}
    axes.legend(handles=handles, ncols=1 if len(models) == 1 else 2, **corner)
    _finish(axes, span, "b", "Information about the prompt", "information (nats)", bits=True)


def missing_information(table: pd.DataFrame) -> dict[str, str]:
    """The kinds of information that no model has, each with the reason: both compare a prompt with others."""
    reasons = {"prompt information": "needs 2 prompts", "usable information": "needs 2 answers"}
    measured = set(table.dropna(subset="value")["statistic"].str.replace("_", " "))
    return {name: reason for name, reason in reasons.items() if name not in measured}


def without_interval(table: pd.DataFrame) -> dict[str, str]:
    """`prompt information` and the number of prompts that its interval needs, where it has values but no interval."""
    rows = table[table["statistic"] == "prompt_information"].dropna(subset="value")
    return {"prompt information": "interval needs 3"} if len(rows) and rows["low"].isna().all() else {}


def collapse_points(table: pd.DataFrame) -> dict[str, float]:
    """Each model's collapse point, a position; a model that keeps its information has none."""
    rows = table[table["statistic"] == "collapse_point"].dropna(subset="value")
    return dict(zip(rows["model"], rows["value"].astype(float), strict=True))


def _information_handles(colours: dict[str, str], points: dict[str, float], notes: dict[str, str]) -> list[Line2D]:
    """Legend entries: line styles in the first column, models with their collapse points in the second.

    notes: remarks on the kinds of information, written in brackets after their names.
    """
    kinds = {"prompt information": "-", "usable information": "--"}
    styles = [
        _line(f"{name} ({notes[name]})" if name in notes else name, linestyle=style) for name, style in kinds.items()
    ]
    single = next(iter(colours)) if len(colours) == 1 else None
    if points:
        value = f": {points[single]:.0f}" if single else ""
        styles.append(_line("collapse point" + value, linestyle="", marker="^", markersize=5))
    if single:
        return styles
    room = 195 - max(text_width(line.get_label(), 7) for line in styles)  # points, beside the first column
    names = {model: fit_text(model, room, 7) for model in colours}
    names |= {model: f"{names[model]}  ▲ {point:.0f}" for model, point in points.items()}
    lines = [_line(names[model], color=colour) for model, colour in colours.items()]
    empty = [_line("", linestyle="")]
    rows = max(len(styles), len(lines))
    return styles + empty * (rows - len(styles)) + lines + empty * (rows - len(lines))


def _draw_entropy(axes: Axes, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Entropy of the predicted distribution, with and without special tokens."""
    for model, colour in _colours(models).items():
        band(axes, curve(table, model, "entropy"), colour)
        band(axes, curve(table, model, "entropy", "without_eos"), colour, style="--", strength=0.12)
    axes.set_ylim(bottom=0)
    _legend(axes, {"all tokens": "-", "special removed": "--"})
    _finish(axes, span, "c", "Entropy", "entropy (nats)", bits=True)


def _draw_probabilities(axes: Axes, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Probability of the most probable token and of EOS."""
    for model, colour in _colours(models).items():
        band(axes, curve(table, model, "top1_probability"), colour)
        band(axes, curve(table, model, "top1_probability", "without_eos"), colour, style="--", strength=0.12)
        band(axes, curve(table, model, "eos_probability"), colour, style=":", strength=0.12)
    axes.set_ylim(0, 1.45)  # above 1 is room for the legend: curves may go anywhere below it
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.spines["left"].set_bounds(0, 1)
    styles = {"most probable token": "-", "special removed": "--", "EOS": ":"}
    if curve(table, models[0], "top1_probability", "without_eos").empty:
        del styles["special removed"]
    _legend(axes, styles, "upper left")
    _finish(axes, span, "d", "Probability", "probability")


def _draw_divergence(axes: Axes, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Divergence of the prediction from the unigram distribution of the reference answers."""
    for model, colour in _colours(models).items():
        band(axes, curve(table, model, "kl_unigram"), colour)
        band(axes, curve(table, model, "kl_unigram", "without_eos"), colour, style="--", strength=0.12)
    axes.set_ylim(bottom=0)
    _legend(axes, {"all tokens": "-", "special removed": "--"})
    _finish(axes, span, "e", "Divergence from unigram", "KL (nats)")


def _draw_homogenisation(axes: Axes, table: pd.DataFrame, models: list[str], span: int) -> None:
    """Divergence of the predictions at two positions: neighbours, and half a span apart."""
    for model, colour in _colours(models).items():
        band(axes, curve(table, model, "js_next"), colour)
        band(axes, curve(table, model, "js_far"), colour, style="--", strength=0.12)
    _bound(axes, np.log(2), "at most ln 2")
    axes.set_ylim(0, 0.8)
    _legend(axes, {"next position": "-", f"{span // 2} away": "--"}, "center right")
    _finish(axes, span, "f", "Difference between positions", "JS (nats)")
