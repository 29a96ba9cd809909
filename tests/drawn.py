"""What a figure shows: its texts, lines and bands, and whether its texts can be read."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from discreteness.figures.plotting import SMALL

REPORT = Path(__file__).resolve().parents[1] / "report"


def texts_of(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, with its box in pixels; none is smaller than `SMALL`."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unused = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _unused_labels(axis)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [text for text in texts if text not in unused]
    assert min(text.get_fontsize() for text in texts) >= SMALL
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [(text, box) for text, box in boxes if box.width > 0]


def _unused_labels(axis) -> list[Text]:
    """Labels of ticks that an axis keeps but does not draw: it is hidden, or they are outside its limits."""
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_major_ticks()
    hidden = not axis.axes.axison
    return [tick.label1 for tick in ticks if hidden or not low - 1e-9 <= tick.get_loc() <= high + 1e-9]


def check_layout(figure: Figure) -> list[str]:
    """Fail where a text leaves the figure or meets another; the texts."""
    texts, page = texts_of(figure), figure.bbox
    for text, box in texts:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 0.5 or up < 0.5 * min(a.height, b.height), (one, other)
    return [text for text, _ in texts]


def words_of(figure: Figure) -> list[str]:
    """Every text of a figure, without its layout, which takes longest."""
    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # makes the labels
    return [text.get_text() for text in figure.findobj(Text)]


def panel(figure: Figure, title: str) -> Axes:
    """The one panel with a title."""
    (axes,) = [axes for axes in figure.axes if title in [text.get_text() for text in axes.texts]]
    return axes


def check_line(axes: Axes, x, y) -> None:
    """Fail unless one line of a panel has these points."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    lines = [np.array([line.get_xdata(), line.get_ydata()], float) for line in axes.lines]
    assert len(x) and any(line.shape == (2, len(x)) and np.allclose(line, [x, y], equal_nan=True) for line in lines), (
        x,
        y,
    )


def check_band(axes: Axes, rows: pd.DataFrame, over: str) -> None:
    """Fail unless a panel has a line of `value` over a column and a band from `low` to `high`."""
    rows = rows.sort_values(over)
    check_line(axes, rows[over], rows["value"])
    known = rows.dropna(subset=["low", "high"])
    ends = {(x, y) for name in ("low", "high") for x, y in known[[over, name]].astype(float).round(9).to_numpy()}
    bands = [{tuple(point) for point in area.get_paths()[0].vertices.round(9)} for area in axes.collections]
    assert any(ends <= band for band in bands), ends


def caption(name: str, **about) -> str:
    """HTML of a text of the report for a job; an undefined value or wrong markup is an error."""
    source = (REPORT / f"{name}.rst").read_text(encoding="utf-8")
    text = Environment(undefined=StrictUndefined).from_string(source).render(snakemake=about)
    return publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
