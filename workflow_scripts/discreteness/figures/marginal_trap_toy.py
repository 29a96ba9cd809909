"""The marginal trap in two toy languages: the probability of every string, by model and decoding."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from discreteness.figures import plotting
from discreteness.figures.plotting import SMALL, WIDTH
from discreteness.figures.text import fit_text, text_width

COLUMNS = "language model decoding string probability seen".split()
DATA = "data"  # the model and the decoding of the language itself
SEEN, UNSEEN = "#0072B2", "#D55E00"
HATCH = "//////"
ABREAST = 2  # models side by side; more continue below
ROW = 0.125  # inches per string
HEAD = 0.78  # inches above the bars: title, model, decoding, probability of all strings never seen
FOOT = 0.36  # inches below the bars: the axis
LEGEND = 0.24  # inches above everything
MARGIN = 0.08  # inches at the right, and left of the strings
GAP, GROUP_GAP = 0.09, 0.2  # inches between panels, and between models
LONGEST = 1.5  # inches for a string
REST = "any other string"


def probabilities_of(panel: pd.DataFrame, strings: Sequence[tuple[str, bool]]) -> np.ndarray:
    """(n,) probabilities of the n strings in one panel's rows, NaN where there is none."""
    probabilities = panel.drop_duplicates("string").set_index("string")["probability"]
    return probabilities.reindex([string for string, _ in strings]).to_numpy(float)


def never_seen(probabilities: np.ndarray, strings: Sequence[tuple[str, bool]]) -> float:
    """Probability of all strings outside the language: 1 minus that of its sentences; NaN if one's is missing."""
    seen = np.array([is_sentence for _, is_sentence in strings], dtype=bool)
    return float(np.clip(1 - probabilities[seen].sum(), 0, 1))


def percent(share: float) -> str:
    """A share in per cent, rounded to 0 or 100 only where it is exactly that."""
    if not np.isfinite(share):
        return "–"
    if share < 1e-9 or share > 1 - 1e-9:
        return f"{100 * share:.0f} %"
    if share < 0.01:
        return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
    return f"{100 * share:.0f} %" if share < 0.995 else "> 99 %"


def strings_of(table: pd.DataFrame) -> list[tuple[str, bool]]:
    """A language's strings, its sentences first, each with whether it is one."""
    strings = table.drop_duplicates("string").sort_values(["seen", "string"], ascending=[False, True])
    return list(zip(strings["string"], strings["seen"].astype(bool), strict=True))


def draw(table: pd.DataFrame) -> Figure:
    """Draw the probabilities of all strings (columns `COLUMNS`): one block per language, one panel per decoding."""
    table = plotting.finite(table, ["probability"])
    blocks = []  # (language, its rows, the models of one block)
    for language, rows in table.groupby("language", sort=False):
        models = list(dict.fromkeys(rows.loc[rows["decoding"] != DATA, "model"]))
        chunks = [models[i : i + ABREAST] for i in range(0, len(models), ABREAST)] or [[]]
        blocks += [(language, rows, chunk) for chunk in chunks]
    heights = [HEAD + ROW * _lines(rows) + FOOT for _, rows, _ in blocks]
    figure = Figure(figsize=(WIDTH, LEGEND + sum(heights)))
    top = LEGEND
    for place, ((language, rows, models), height) in enumerate(zip(blocks, heights, strict=True)):
        _draw_block(figure, top, language, rows, models, chr(ord("a") + place % 26))
        top += height
    handles = [
        Patch(color=SEEN, label="sentence of the language"),
        Patch(facecolor=UNSEEN, hatch=HATCH, edgecolor="white", label="never seen"),
    ]
    figure.legend(handles=handles, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1), handleheight=1.0)
    return figure


def _lines(rows: pd.DataFrame) -> int:
    """Lines of a language's panels: its strings, and one for all others if they have 0.5 % or more in any panel."""
    strings = strings_of(rows)
    totals = [probabilities_of(panel, strings).sum() for _, panel in rows.groupby(["model", "decoding"])]
    return len(strings) + any(total < 0.995 for total in totals)


def _draw_block(figure: Figure, top: float, language: str, rows: pd.DataFrame, models: list[str], letter: str) -> None:
    """A language's panels of some models, `top` inches from the figure's top."""
    strings = strings_of(rows)
    lines = _lines(rows)
    labels = [fit_text(string, 72 * LONGEST, 7, "bold") for string, _ in strings]
    labels += [REST] * (lines - len(strings))
    left = MARGIN + 0.06 + max(text_width(text, 7, "bold") for text in [*labels, "P(never seen)"]) / 72
    decodings = [name for name in dict.fromkeys(rows["decoding"]) if name != DATA]
    groups = [(DATA, [DATA])] * (DATA in set(rows["decoding"])) + [(model, decodings) for model in models]
    panels = sum(len(names) for _, names in groups)
    gaps = GROUP_GAP * (len(groups) - 1) + GAP * (panels - len(groups))
    width = max((WIDTH - MARGIN - 0.06 - left - gaps) / max(panels, 1), 0.05)
    largest = rows["probability"].max()
    scale = max(0.5, largest if np.isfinite(largest) else 0.5)
    _write_head(figure, top, left, language, strings, letter)
    x = left
    for model, names in groups:
        span = len(names) * width + (len(names) - 1) * GAP
        if names != [DATA]:
            _write_group(figure, top, x, span, model)
        for name in names:
            axes = plotting.axes_at(figure, x, top + HEAD + ROW * lines, width, ROW * lines)
            panel = rows[(rows["model"] == model) & (rows["decoding"] == name)]
            probabilities = probabilities_of(panel, strings)
            _draw_panel(axes, probabilities, strings, lines, scale)
            _write_panel_head(figure, top, x, width, name, never_seen(probabilities, strings))
            if x == left:
                _write_strings(axes, labels, strings)
            x += width + GAP
        x += GROUP_GAP - GAP


def _write(figure: Figure, x: float, y: float, text: str, **style) -> None:
    """A line of text whose baseline is `y` inches below the figure's top."""
    figure.text(x / WIDTH, 1 - y / figure.get_size_inches()[1], text, va="baseline", **style)


def _write_head(figure: Figure, top: float, left: float, language: str, strings: list, letter: str) -> None:
    """The panel letter, the language with its number of sentences, and the name of the numbers above the panels."""
    sentences = sum(seen for _, seen in strings)
    title = f"{language}: {sentences} of these {len(strings)} strings are sentences of the language"
    _write(figure, MARGIN, top + 0.15, letter, fontsize=9, fontweight="bold")
    title = fit_text(title, 72 * (WIDTH - 0.4), 7.5)
    _write(figure, MARGIN + 0.14, top + 0.15, title, fontsize=7.5, color="#222222")
    _write(
        figure, left - 0.06, top + HEAD - 0.1, "P(never seen)", fontsize=7, ha="right", color=UNSEEN, fontweight="bold"
    )


def _write_group(figure: Figure, top: float, x: float, span: float, model: str) -> None:
    """A model's name over its panels, with a line that spans them."""
    name = fit_text(model, 72 * span, 7.5)
    _write(figure, x + span / 2, top + 0.34, name, fontsize=7.5, ha="center", color="#222222")
    tall = figure.get_size_inches()[1]
    axes = figure.add_axes((x / WIDTH, 1 - (top + 0.385) / tall, span / WIDTH, 1e-6))
    axes.axhline(0, color="#888888", linewidth=0.6, clip_on=False)
    axes.set_axis_off()


def _write_panel_head(figure: Figure, top: float, x: float, width: float, name: str, share: float) -> None:
    """The decoding of a panel, and in large type the probability of all strings never seen."""
    label = fit_text(name, 72 * (width + GAP) - 2, 7)
    _write(figure, x + width / 2, top + 0.52, label, fontsize=7, ha="center", color="#222222")
    _write(
        figure,
        x + width / 2,
        top + HEAD - 0.1,
        percent(share),
        fontsize=10,
        ha="center",
        fontweight="bold",
        color=UNSEEN if share >= 0.001 else "#777777",
    )


def _write_strings(axes: Axes, labels: list[str], strings: list[tuple[str, bool]]) -> None:
    """The strings left of the first panel; sentences in bold type."""
    for line, label in enumerate(labels):
        seen = line < len(strings) and strings[line][1]
        axes.annotate(
            label,
            (0, line),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center_baseline",
            fontsize=7,
            color=SEEN if seen else "#333333",
            fontweight="bold" if seen else "normal",
            annotation_clip=False,
        )


def _draw_panel(
    axes: Axes, probabilities: np.ndarray, strings: list[tuple[str, bool]], lines: int, scale: float
) -> None:
    """One bar per string, in the same order in every panel."""
    rest = [max(1 - probabilities.sum(), 0)] * (lines - len(strings))
    values, seen = [*probabilities, *rest], [*(is_sentence for _, is_sentence in strings), *(False for _ in rest)]
    for line in range(0, lines, 2):
        axes.axhspan(line - 0.5, line + 0.5, color="#F3F3F3", linewidth=0, zorder=0)
    for line, (value, is_sentence) in enumerate(zip(values, seen, strict=True)):
        if np.isfinite(value):
            style = {"color": SEEN} if is_sentence else {"facecolor": UNSEEN, "hatch": HATCH, "edgecolor": "white"}
            axes.barh(line, value, height=0.74, linewidth=0, **style)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlim(0, 1.12 * scale)
    end = 0.5 if scale < 0.75 else 1
    axes.set_xticks([0, end / 2, end], ["0", "", f"{end:g}"])
    axes.set_xlabel("probability", fontsize=SMALL, labelpad=1)
