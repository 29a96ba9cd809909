"""Predictions of a model after one prompt, position by position: its most probable tokens and their probabilities."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from discreteness.figures import plotting
from discreteness.figures.notes import counted
from discreteness.figures.plotting import CLASS_COLOURS, SMALL, WIDTH, axes_at
from discreteness.figures.text import fit_text, text_width, token_label, wrap_text

COLUMNS = [
    "model",
    "dataset",
    "prompt_id",
    "position",
    "rank",
    "token",
    "token_class",
    "probability",
    "entropy",
    "answer_token",
    "prompt",
]
RANKS = 3  # ranks written out; the strip below stacks all of the table's
ORDINALS = ("most probable", "second", "third")
ROW = 0.162  # inches per row of the table
MARGIN = 0.5  # inches left of every panel
HEAD = 0.74  # inches above the table: the prompt and the panel titles
BREAK = 0.66  # inches between the table and the strip: a legend and a title
SPACE = 0.3  # inches between the strip and the entropy
GAP = 0.16  # inches between the two halves of the table
LABEL = 0.42  # inches for the position of a row
POINTS = 72  # per inch


class Run(NamedTuple):
    """Neighbouring positions with the same most probable token, both ends included."""

    first: int
    last: int

    @property
    def middle(self) -> int:
        """The position whose predictions stand for the run."""
        return (self.first + self.last) // 2

    @property
    def label(self) -> str:
        """Its positions: `5`, `24–32`."""
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def runs_of(tokens: list, start: int = 0) -> list[Run]:
    """Maximal runs of equal neighbours; positions count from `start`."""
    edges = [i for i in range(len(tokens)) if i == 0 or tokens[i] != tokens[i - 1]]
    return [Run(start + a, start + b - 1) for a, b in zip(edges, [*edges[1:], len(tokens)], strict=False)]


def choose_runs(runs: list[Run], rows: int) -> list[Run]:
    """At most `rows` runs, in order: the longest of each stretch of positions, then the longest of the others.

    The positions are cut into `rows` stretches that grow with distance; a run belongs to the stretch that it begins in.
    """
    if len(runs) <= rows:
        return runs
    start, stop = runs[0].first, runs[-1].last + 1
    edges = np.geomspace(start + 1, stop + 1, rows + 1) - 1
    stretch = np.searchsorted(edges, [run.first for run in runs], side="right")
    length = np.array([run.last - run.first + 1 for run in runs])
    order = np.argsort(-length, kind="stable")  # longest first, nearer ones first among equals
    _, longest = np.unique(stretch[order], return_index=True)
    chosen = [int(order[i]) for i in longest]
    spare = [int(i) for i in order if int(i) not in set(chosen)]
    return [runs[i] for i in sorted([*chosen, *spare][:rows])]


def cut_runs(runs: list[Run], rows: int) -> list[Run]:
    """At most `rows` runs: where there are fewer, long ones are cut, at distances that grow, to show changes within."""
    if not runs or len(runs) >= rows:
        return runs
    start, stop = runs[0].first, runs[-1].last + 1
    cuts = np.geomspace(start + 1, stop + 1, rows - len(runs) + 2)[1:-1].astype(int) - 1
    firsts = sorted({run.first for run in runs} | {int(cut) for cut in cuts if start < cut < stop})
    return [Run(a, b - 1) for a, b in zip(firsts, [*firsts[1:], stop], strict=True)]


def shown(span: int, corruption: str) -> str:
    """The input after the prompt of a model that predicts `span` tokens, by its kind of corruption."""
    if corruption == "causal":
        return "+ reference answer\nup to each position"
    token = {"mask": "mask", "uniform": "random token", "gaussian": "noisy token"}[corruption]
    return f"+ {counted(span, token)}"


def draw(table: pd.DataFrame, *, near: int = 16, far: int = 16, corruption: str = "mask") -> Figure:
    """Draw the predictions for the first prompt of the table (columns `COLUMNS`).

    The nearest `near` positions have one row each, the others at most `far` rows of runs with the same most probable
    token; below, every position as a stack of its probabilities and with its entropy. corruption: the model's (see
    `Denoiser`), for what it was shown at the positions.
    """
    table = table[table["prompt_id"] == table["prompt_id"].iloc[0]].sort_values(["position", "rank"])
    positions = sorted(table["position"].unique())
    near = min(near, -(-len(positions) // 2))
    first = table[table["rank"] == 1].set_index("position")
    rows_near = [Run(p, p) for p in positions[:near]]
    rest = positions[near:]
    rows_far = cut_runs(choose_runs(runs_of(list(first.loc[rest, "token"]), near), far), far) if rest else []
    lines = max(len(rows_near), len(rows_far))

    head, strip, curve, foot, table_height = HEAD, 0.85, 0.72, 0.38, (lines + 1) * ROW
    figure = Figure(figsize=(WIDTH, head + table_height + BREAK + strip + SPACE + curve + foot))
    _draw_prompt(figure, table, shown(len(positions), corruption))
    ranks = min(RANKS, int(table["rank"].max()))
    top = head + table_height
    half = (WIDTH - 0.14 - GAP) / 2
    for rows, left, letter, title in (
        (rows_near, 0.07, "a", "Next to the prompt"),
        (rows_far, 0.07 + half + GAP, "b", "Farther away (ranges: values in the middle)"),
    ):
        if rows:
            axes = axes_at(figure, left, top, half, table_height)
            _draw_rows(axes, table, rows, ranks, lines, half)
            plotting.panel_letter(axes, letter, title)
    width = WIDTH - 2 * MARGIN
    axes = axes_at(figure, MARGIN, top + BREAK + strip, width, strip)
    _draw_strip(axes, table, len(positions))
    below = axes_at(figure, MARGIN, top + BREAK + strip + SPACE + curve, width, curve)
    _draw_entropy(below, first, len(positions))
    return figure


def _draw_prompt(figure: Figure, table: pd.DataFrame, after: str) -> None:
    """Model, data set and prompt in a box; after: the rest of the model's input."""
    axes = axes_at(figure, 0.07, 0.47, WIDTH - 0.14, 0.41)
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH - 0.14), ylim=(0, 0.41))
    axes.add_patch(
        FancyBboxPatch((0, 0), WIDTH - 0.14, 0.41, boxstyle="round,pad=0,rounding_size=0.05", facecolor="#EEF1F4")
    )
    row, indent = table.iloc[0], 1.5
    room = (indent - 0.16) * POINTS
    model = fit_text(row["model"], room, 7.5, "bold")
    source = fit_text(f"prompt from {row['dataset']}", room, 7)
    axes.text(0.08, 0.275, model, fontsize=7.5, fontweight="bold", va="center", parse_math=False)
    axes.text(0.08, 0.125, source, fontsize=7, color="#555555", va="center", parse_math=False)
    room = (WIDTH - 0.14 - indent - 0.95) * POINTS
    prompt = wrap_text(row["prompt"], room, 7.5, 2)
    for line, height in zip(prompt, (0.2,) if len(prompt) == 1 else (0.275, 0.125), strict=False):
        axes.text(indent, height, line, fontsize=7.5, va="center", parse_math=False)
    axes.text(WIDTH - 0.22, 0.2, after, fontsize=7, color="#555555", va="center", ha="right")


def _draw_rows(axes: Axes, table: pd.DataFrame, rows: list[Run], ranks: int, lines: int, width: float) -> None:
    """One row per run: its positions, then each rank's token on a bar; a full cell is probability 1."""
    axes.set(xlim=(0, width), ylim=(lines, -1))
    axes.set_axis_off()
    cell = (width - LABEL) / ranks
    bar = cell - 0.05
    axes.text(LABEL - 0.07, -0.5, "position", fontsize=SMALL, color="#666666", ha="right", va="center")
    for rank in range(ranks):
        axes.text(LABEL + rank * cell, -0.5, ORDINALS[rank], fontsize=SMALL, color="#666666", va="center")
    grey = {"fontsize": SMALL, "color": "#444444", "ha": "right", "va": "center_baseline"}
    for line, run in enumerate(rows):
        axes.text(LABEL - 0.07, line + 0.5, run.label, **grey)
        for row in table[table["position"] == run.middle].head(ranks).itertuples():
            _draw_cell(axes, row, LABEL + (row.rank - 1) * cell, line, bar)


def _draw_cell(axes: Axes, row, left: float, line: int, width: float) -> None:
    """A token on its bar with its probability at the right; outlined if it is the reference answer's token."""
    colour = CLASS_COLOURS[row.token_class]

    def box(length: float, **style) -> None:
        axes.add_patch(Rectangle((left, line + 0.07), length, 0.86, **style))

    box(width, facecolor="#F4F4F4")
    box(width * row.probability, facecolor=plotting.tint(colour, 0.5))
    box(0.022, facecolor=colour)  # shows the class of a token whose bar is too short to see
    if row.answer_token and row.answer_token == row.token:
        box(width, facecolor="none", edgecolor="black", linewidth=0.8, zorder=3)
    number = _probability(row.probability)
    room = width * POINTS - text_width(number, SMALL) - 8
    label = fit_text(token_label(row.token, row.token_class == "special"), room, 7.5)
    middle = {"va": "center_baseline", "zorder": 4, "parse_math": False}
    axes.text(left + 0.05, line + 0.5, label, fontsize=7.5, **middle)
    axes.text(left + width - 0.03, line + 0.5, number, fontsize=SMALL, color="#333333", ha="right", **middle)


def _probability(value: float) -> str:
    """A probability with two decimals, without the leading zero, for which a cell has no room."""
    if value < 0.005:
        return "<.01"
    return "1.0" if value >= 0.995 else f"{value:.2f}"[1:]


def _draw_strip(axes: Axes, table: pd.DataFrame, span: int) -> None:
    """Every position as a stack of its tokens' probabilities, coloured by class; fainter with rank."""
    base = np.zeros(span)
    for rank, rows in table.groupby("rank"):
        rows = rows.set_index("position").reindex(range(span))
        height = rows["probability"].fillna(0).to_numpy()
        strength = (1.0, 0.62, 0.36)[min(rank, 3) - 1]
        colours = [plotting.tint(CLASS_COLOURS.get(name, "#FFFFFF"), strength) for name in rows["token_class"]]
        axes.bar(range(span), height, bottom=base, width=0.86, color=colours)
        base += height
    axes.set_xlim(-0.6, span - 0.4)
    if base.max() > 0.4:
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    else:  # a flat model would leave an empty panel
        axes.set_ylim(0, 1.15 * base.max())
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylabel("probability")
    axes.tick_params(labelbottom=False)
    count = int(table["rank"].max())
    tokens = "the most probable token" if count == 1 else f"the {count} most probable tokens, stacked"
    plotting.panel_letter(axes, "c", f"Every position: {tokens}")
    _draw_legend(axes, table)


def _draw_legend(axes: Axes, table: pd.DataFrame) -> None:
    """The classes of tokens, and the outline of the reference answer's, between the table and the strip `axes`."""
    handles = plotting.class_handles(list(table["token_class"]))
    if (table["answer_token"] == table["token"]).any():
        handles.append(Patch(facecolor="none", edgecolor="black", linewidth=0.8, label="as in the reference answer"))
    axes.figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(MARGIN / WIDTH, axes.get_position().y1 + 0.46 / axes.figure.get_figheight()),
        ncols=len(handles),
        borderaxespad=0,
        borderpad=0,
        handlelength=1,
        handleheight=0.8,
    )


def _draw_entropy(axes: Axes, first: pd.DataFrame, span: int) -> None:
    """Entropy of the whole distribution; at the right its exponential, the perplexity."""
    entropy = first["entropy"].reindex(range(span)).to_numpy(float)
    axes.plot(range(span), entropy, color="#222222", marker="o" if span <= 32 else "", markersize=2.2)
    axes.set_xlim(-0.6, span - 0.4)
    highest = np.nanmax(entropy, initial=0.1)
    axes.set_ylim(0, 1.12 * highest)
    axes.set_ylabel("entropy (nats)")
    axes.set_xlabel("position (tokens after the prompt)")
    choices = [n for n in (1, 10, 100, 1000, 10_000, 100_000) if np.log(n) <= 1.12 * highest]
    right = axes.secondary_yaxis("right")
    right.set_yticks(np.log(choices), [f"{n:,}" for n in choices])
    right.set_ylabel("perplexity", rotation=270, labelpad=9)
    plotting.panel_letter(axes, "d", "Uncertainty")
