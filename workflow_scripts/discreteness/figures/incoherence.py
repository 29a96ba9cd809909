"""Statistics of answers decoded in parallel, by number of steps, beside those of the reference answers."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from discreteness.coherence.incoherence import JUDGE_BOUND
from discreteness.figures import plotting
from discreteness.figures.notes import counted, interval_note, say_empty
from discreteness.figures.plotting import GREY, SMALL, WIDTH, band, decoder_colours, model_lines

COLUMNS = "model decoder steps statistic value low high reference reference_low reference_high answers".split()
PANELS = (  # (statistic, title, unit), by rows; perplexity means nothing without the entropy beside it
    (
        ("regret", "Regret", "nats per token"),
        ("disowned", "Disowned tokens", "share of tokens"),
        ("adjacent_duplicates", "Adjacent duplicates", "share of positions"),
    ),
    (
        ("seq_rep_4", "Repeated 4-grams", "seq-rep-4"),
        ("distinct_2", "Distinct bigrams", "distinct-2"),
        ("unseen_bigrams", "Bigrams never seen in training", "share of bigrams"),
    ),
    (
        ("perplexity", "Generative perplexity", "perplexity"),
        ("judge_entropy", "Entropy within an answer", "nats"),
        ("empty", "Empty", "share of answers"),
    ),
)
WIDTHS = ([1, 1, 1], [1, 1, 1], [1.25, 1.25, 0.5])
REFERENCE = "#8A8A8A"
# Why a statistic is not in the table
NOT_MEASURED = {"unseen_bigrams": "training text\nnot known", "perplexity": "no judge", "judge_entropy": "no judge"}


def reference_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """The reference answers' statistic by steps: mean over decoders, within the widest of their intervals.

    It is the same at all steps unless an answer counts only where both it and its reference have a value.
    """
    by = rows.dropna(subset="reference").groupby("steps")
    curve = {"value": by["reference"].mean(), "low": by["reference_low"].min(), "high": by["reference_high"].max()}
    return pd.DataFrame(curve).reset_index()


def draw(table: pd.DataFrame) -> Figure:
    """Draw the statistics of decoded answers (columns `COLUMNS`), models and decoders in the table's order."""
    measured = set(table["statistic"])
    names = ("steps", "value", "low", "high", "reference", "reference_low", "reference_high")
    table = plotting.finite(table, names).dropna(subset="steps")
    lines, colours = model_lines(table["model"]), decoder_colours(table["decoder"])
    table = table.sort_values("steps")
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    grid = figure.add_gridspec(len(PANELS), 1)
    letters = iter("abcdefghi")
    for row, panels in enumerate(PANELS):
        places = grid[row].subgridspec(1, len(panels), width_ratios=WIDTHS[row])
        for place, (statistic, title, unit) in zip(places, panels, strict=True):
            axes = figure.add_subplot(place)
            _draw_statistic(axes, table[table["statistic"] == statistic], lines, colours)
            why = "no answer has\nenough text" if statistic in measured else NOT_MEASURED.get(statistic, "not measured")
            _set_axes(axes, table["steps"], statistic, why)
            axes.set_ylabel(unit)
            if row == len(PANELS) - 1:
                axes.set_xlabel("steps")
            judge = _judge(table) if statistic == "perplexity" else ""
            plotting.panel_letter(axes, next(letters), f"Perplexity: {judge}" if judge else title)
            if judge and (table["judge_fits"] == "no").any():
                _warn(axes, judge)
    plotting.outer_legend(figure, _handles(lines, colours, bool(table["reference"].notna().any())), _title(table))
    return figure


def _title(table: pd.DataFrame) -> str:
    """How many answers a point has, whether there are intervals, and the model if there is only one."""
    models, answers = list(dict.fromkeys(table["model"])), table["answers"].astype(float).max()
    number = counted(answers, "answer") + " per decoder and number of steps" if np.isfinite(answers) else ""
    number += _interval_notes(table.dropna(subset="value")) if number else ""
    return ", ".join([*(models if len(models) == 1 else []), *([number] if number else [])])


def _interval_notes(table: pd.DataFrame) -> str:
    """In brackets, whether points have no interval, and what the intervals of the fewest answers cover."""
    without = table[["low", "high"]].isna().any(axis=1)
    if without.all():
        return " (no intervals: one prompt)" if len(table) else ""
    notes = ["without interval: one prompt"] if without.any() else []
    fewest = table.loc[~without, "answers"].astype(float).min()
    of_few = interval_note(fewest).strip(" ()").removeprefix("intervals ")
    notes += [f"intervals of {counted(fewest, 'answer')} {of_few}"] if of_few else []
    return f" ({'; '.join(notes)})" if notes else ""


def _handles(lines: dict, colours: dict, reference: bool) -> list[Artist]:
    """Legend entries: models by line style if there are several, decoders by colour, the reference answers."""
    models = plotting.style_handles(lines) if len(lines) > 1 else []
    style = {"facecolor": plotting.tint(REFERENCE, 0.4), "edgecolor": REFERENCE, "linewidth": 0.8}
    references = [Patch(label="reference answers", **style)] if reference else []
    return [*models, *plotting.colour_handles(colours), *references]


def _draw_statistic(axes: Axes, table: pd.DataFrame, lines: dict, colours: dict) -> None:
    """One statistic over steps, in front of the reference answers' own."""
    for model, style in lines.items():
        rows = table[table["model"] == model]
        curve = reference_curve(rows)
        if len(curve):
            outside = {"steps": [curve["steps"].iloc[0] / 2, curve["steps"].iloc[-1] * 2]}
            ends = curve.iloc[[0, -1]].assign(**outside)  # as far as the axis goes
            curve = pd.concat([ends.iloc[:1], curve, ends.iloc[1:]])
            band(axes, curve, REFERENCE, style, over="steps", strength=0.3, linewidth=0.9, zorder=1)
        for decoder, points in rows.groupby("decoder", sort=False):
            band(axes, points, colours[decoder], style, over="steps", strength=0.15, marker="o", markersize=2.5)


def _set_axes(axes: Axes, steps: pd.Series, statistic: str, why: str) -> None:
    """Scales and limits of a panel; why: written into one without values."""
    plotting.step_axis(axes, steps, most=4 if statistic == "empty" else 8)
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in axes.lines):
        say_empty(axes, why)
    elif statistic == "perplexity":
        _log_axis(axes)
    elif statistic == "regret":
        plotting.zero_line(axes)
    else:
        axes.set_ylim(bottom=0)


def _judge(table: pd.DataFrame) -> str:
    """Name of the judge; empty in a table that has none, or does not say."""
    return "".join(table.loc[table["judge"] != "", "judge"].head(1)) if "judge" in table else ""


def _warn(axes: Axes, judge: str) -> None:
    """Write across a panel that the judge does not fit the text."""
    warning = f"{judge} cannot judge this text:\nperplexity of references > {JUDGE_BOUND:,.0f}"
    box = {"facecolor": "white", "edgecolor": GREY, "alpha": 0.85, "linewidth": 0.5}
    axes.text(0.5, 0.5, warning, ha="center", va="center", transform=axes.transAxes, fontsize=SMALL, bbox=box, zorder=9)


def _log_axis(axes: Axes) -> None:
    """A log scale for what is drawn, at least a factor of three, with labels in plain figures."""
    values = np.concatenate([line.get_ydata() for line in axes.lines]).astype(float)
    values = values[values > 0]
    low, high = (values.min() / 1.4, values.max() * 1.4) if len(values) else (1.0, 10.0)
    middle = np.sqrt(low * high)
    axes.set_yscale("log")
    low, high = min(low, middle / 1.8), max(high, middle * 1.8)
    axes.set_ylim(low, high)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    ticks = np.outer(powers, [1, 2, 5] if high / low < 1000 else [1]).ravel()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
