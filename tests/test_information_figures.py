"""Figures of the information curve: drawn from synthetic tables, legible, whatever the tables hold."""

import io
import itertools
import logging
import runpy
import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text

from discreteness.core.io import write_csv
from discreteness.figures import information_decay, plotting, price_of_parallelism, smooth_corruption
from discreteness.figures.information_decay import draw_information_decay, estimate, nearest
from discreteness.figures.price_of_parallelism import draw_price_of_parallelism
from discreteness.figures.smooth_corruption import draw_smooth_corruption, largest_distance

ROOT = Path(__file__).resolve().parents[1]
ODD = "脑 $x_1$ \\frac{ a_name_that_is_far_too_long_for_any_place_in_a_figure_of_seven_inches_or_a_legend"


@pytest.fixture(autouse=True)
def style():
    """The project's style, and no warning of any kind (a missing glyph is one)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.use_style()
        matplotlib.rcParams["savefig.dpi"] = 60
        yield


def decay_table(models=("docs-base", "docs-instruct")) -> pd.DataFrame:
    """Information falls with the share masked and with distance; content words lose more than function words."""
    rows = []

    def add(model, view, variant, group, value, width=0.15, padding=True):
        rows.append((model, padding, view, variant, str(group), value, value - width, value + width, 100, 4200))

    ratios = np.linspace(0.05, 1, 11).round(3)
    for m, model in enumerate(models):
        for variant, more, padding in (("all", 0.6, True), ("text", 0, True), ("all", -0.5, False)):
            more -= 0.3 * m
            for ratio in ratios:
                add(model, "mask_ratio", variant, ratio, 5.5 - 4 * ratio + more, padding=padding)
            for distance in (1, 2, 3, 4.5, 6.5, 9.5, 13.5, 19.5, 27.5, 39.5, 55.5, 79.5):
                add(model, "distance_to_visible", variant, distance, 4.5 / distance**0.5 + more, padding=padding)
            for position in (0, 1, 2, 3, 4.5, 6.5, 9.5, 13.5, 19.5, 27.5, 39.5, 55.5, 79.5, 111.5):
                add(model, "position", variant, position, 3 + 0.8 * np.exp(-position / 4) + more, padding=padding)
        classes = {"content": 3.6, "function": 2.1, "punctuation": 1.6, "number": 3.9}
        for variant in ("all", "text"):
            for name, value in classes.items():
                add(model, "token_class", variant, name, value - 0.3 * m)
        add(model, "token_class", "all", "special", 0.6, 0.03)
        for ratio, padding in itertools.product(ratios, (True, False)):
            width = 6.4 + 1.5 * ratio + 0.5 * m + padding
            add(model, "spread", "p90_p10", ratio, width, 0.4, padding=padding)
            for name, share in (("p10", -0.4), ("p50", 0.1), ("p90", 0.6)):
                add(model, "spread", name, ratio, 2 + share * width, padding=padding)
            add(model, "spread", "sd", ratio, 2.5 + 0.5 * ratio, padding=padding)
        for variant, scale in (("mean_nll", 1.0), ("total_nll", 20.0), ("recoverable", 0.8)):
            for name, value in (("content", 4.1), ("function", 2.0), ("difference", 2.1)):
                add(model, "salience", variant, name, scale * (value + 0.2 * m), padding=False)
    return pd.DataFrame(rows, columns=information_decay.COLUMNS)


def price_table(models=("docs-base",), language=False, steps=(1, 2, 4, 8, 16, 32, 64, 128)) -> pd.DataFrame:
    """Prices that end at 0; a language's are known exactly and sampled, real text's answers are measured."""
    rows = []
    for (m, model), padding in itertools.product(enumerate(models), (True,) if language else (False, True)):
        for k in steps:
            price = (30 + 5 * m) * (1 / k - 1 / max(steps)) ** 1.2 if k < max(steps) else 0.0
            for i, schedule in enumerate(price_of_parallelism.SCHEDULES):
                value = price * (1, 0.55, 1.05, 0.8, 0.9)[i] if k > 1 else price
                rows.append(
                    (model, padding, "price", schedule, k, value, 0.93 * value - 0.005, 1.07 * value + 0.005, 100)
                )
                if price and i:
                    share = value / price
                    rows.append((model, padding, "relative", schedule, k, share, share - 0.1, share + 0.1, 100))
                if language:
                    if schedule in ("uniform", "optimal"):
                        rows.append((model, padding, "exact", schedule, k, 0.98 * value, np.nan, np.nan, 0))
                    rows.append((model, padding, "sampled", schedule, k, 1.02 * value, 0.95 * value, 1.1 * value, 2000))
            rows.append((model, padding, "bound", "uniform", k, 55.0 / k, np.nan, np.nan, 100))
            rows.append((model, padding, "regret_expected", "uniform", k, 0.8 / k, 0.7 / k, 0.9 / k, 100))
            for d, decoder in enumerate(
                () if language or not padding else ("random", "low_confidence", "entropy", "optimal")
            ):
                regret, perplexity = 2.0 / (k + d), np.exp(3.2 + 2.5 / (k + d))
                rows.append((model, padding, "regret", decoder, k, regret, 0.9 * regret, 1.1 * regret, 100))
                rows.append(
                    (model, padding, "perplexity", decoder, k, perplexity, 0.9 * perplexity, 1.1 * perplexity, 100)
                )
    return pd.DataFrame(rows, columns=price_of_parallelism.COLUMNS)


def smooth_table(models=("docs-base", "docs-instruct"), language=True) -> pd.DataFrame:
    """Curves above and below the diagonal; under the smooth schedule all are near it."""
    rows, noise = [], np.linspace(0, 1, 21)
    series = [("grammar", "grammar", True, name) for name in ("mask", "uniform", "gaussian")] if language else []
    series += [(model, "docs", padding, "mask") for model in models for padding in (False, True)]
    for (i, key), (measure, bent) in itertools.product(enumerate(series), (("tokens", 1.0), ("sentence", 0.6))):
        power = (1.5, 2.4, 0.5, 1.8, 2.2)[i % 5] * bent
        for t in noise:
            kept, smooth = (1 - t) ** power, 1 - t + 0.012 * np.sin(6 * t)
            rows.append((*key, measure, "kept", t, kept, kept - 0.02, kept + 0.02, 400))
            late = 1 - (1 - t) ** (1 / power)
            rows.append((*key, measure, "schedule", t, late, late - 0.02, late + 0.02, 400))
            rows.append((*key, measure, "smooth_kept", t, smooth, smooth - 0.02, smooth + 0.02, 200))
        area = abs(0.5 - 1 / (1 + power))
        rows.append((*key, measure, "area", np.nan, area, area - 0.008, area + 0.008, 400))
    return pd.DataFrame(rows, columns=smooth_corruption.COLUMNS)


FIGURES = {
    "information_decay": (draw_information_decay, decay_table),
    "price_of_parallelism": (draw_price_of_parallelism, price_table),
    "smooth_corruption": (draw_smooth_corruption, smooth_table),
}
each_figure = pytest.mark.parametrize("name", FIGURES)


def texts_of(figure) -> list[tuple[str, object]]:
    """Every text that is drawn, with its box in pixels; ticks outside an axis's limits are not."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unused = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = axis.get_major_ticks()
        unused |= {
            tick.label1 for tick in ticks if not axis.axes.axison or not low - 1e-9 <= tick.get_loc() <= high + 1e-9
        }
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [text for text in texts if text not in unused]
    assert min(text.get_fontsize() for text in texts) >= plotting.SMALL
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def words_of(figure) -> list[str]:
    """Every text of a figure; nothing is laid out."""
    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # makes the labels
    return [text.get_text() for text in figure.findobj(Text)]


def without(table: pd.DataFrame, share: float = 0.3) -> pd.DataFrame:
    """The table with rows missing and, in those left, values missing and infinite."""
    draw = np.random.default_rng(1)
    table = table[draw.random(len(table)) > share].copy()
    for name in ("value", "low", "high"):
        table[name] = table[name].mask(draw.random(len(table)) < share / 2)
        table[name] = table[name].mask(draw.random(len(table)) < share / 10, np.inf)
    return table


def named_oddly(table: pd.DataFrame) -> pd.DataFrame:
    """Names of models, decoders and data sets that are long, unprintable or look like formulas."""
    for name in table.columns.intersection(["model", "dataset", "source"]):
        table[name] = [value if value == "grammar" else f"{value} {ODD}" for value in table[name]]
    if "schedule" in table:
        table["schedule"] = [f"{value} {ODD}" for value in table["schedule"]]
    return table


ODD_TABLES = {
    "decay-one-row": ("information_decay", lambda: decay_table().head(1)),
    "decay-one-model": ("information_decay", lambda: decay_table(("docs-base",))),
    "decay-five-models": ("information_decay", lambda: decay_table(list("abcde"))),
    "decay-only-classes": ("information_decay", lambda: decay_table().query("view == 'token_class'")),
    "decay-no-values": ("information_decay", lambda: decay_table().assign(value=np.nan)),
    "decay-names": ("information_decay", lambda: named_oddly(decay_table())),
    "decay-missing": ("information_decay", lambda: without(decay_table())),
    "price-one-row": ("price_of_parallelism", lambda: price_table().head(1)),
    "price-language": ("price_of_parallelism", lambda: price_table(("oracle", "micro"), True, (1, 2, 3, 4, 6, 12))),
    "price-three-models": ("price_of_parallelism", lambda: price_table(list("abc"))),
    "price-only-measured": ("price_of_parallelism", lambda: price_table().query("statistic == 'regret'")),
    "price-all-zero": ("price_of_parallelism", lambda: price_table().assign(value=0.0, low=0.0, high=0.0)),
    "price-negative": ("price_of_parallelism", lambda: price_table().assign(value=lambda t: -t["value"])),
    "price-no-values": ("price_of_parallelism", lambda: price_table().assign(value=np.nan)),
    "price-names": ("price_of_parallelism", lambda: named_oddly(price_table(("a", "b"), steps=(1, 8, 128)))),
    "price-missing": ("price_of_parallelism", lambda: without(price_table(("a", "b"), steps=(1, 4, 16, 128)))),
    "smooth-one-row": ("smooth_corruption", lambda: smooth_table().head(1)),
    "smooth-language": ("smooth_corruption", lambda: smooth_table(())),
    "smooth-text": ("smooth_corruption", lambda: smooth_table(language=False)),
    "smooth-no-area": ("smooth_corruption", lambda: smooth_table().query("statistic != 'area'")),
    "smooth-no-values": ("smooth_corruption", lambda: smooth_table().assign(value=np.nan)),
    "smooth-names": ("smooth_corruption", lambda: named_oddly(smooth_table())),
    "smooth-missing": ("smooth_corruption", lambda: without(smooth_table())),
}


@pytest.mark.parametrize("case", ODD_TABLES)
def test_anything_odd_still_draws(case):
    name, table = ODD_TABLES[case]
    figure, buffer = FIGURES[name][0](table()), io.BytesIO()
    if "models" not in case:  # the layout takes longest, and crowded panels are what could break it
        figure.set_layout_engine("none")
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    image = imread(buffer)[..., :3]
    assert image.shape[1] == 7 * 60 and (image < 0.5).any()


LEGIBLE = [
    *FIGURES,
    "decay-one-model",
    "decay-names",
    "price-language",
    "price-names",
    "smooth-language",
    "smooth-names",
]


@pytest.mark.parametrize("case", LEGIBLE)
def test_no_label_meets_another_or_leaves_the_figure(case):
    name, table = ODD_TABLES.get(case) or (case, FIGURES.get(case, (None, None))[1])
    figure = FIGURES[name][0](table())
    texts, page = texts_of(figure), figure.bbox
    for text, box in texts:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 0.5 or up < 0.5 * min(a.height, b.height), (one, other)


@each_figure
def test_scripts_write_what_the_function_draws(name, tmp_path):
    draw, table = FIGURES[name]
    style = tmp_path / "matplotlibrc"
    style.write_text((ROOT / "matplotlibrc").read_text().replace("savefig.dpi: 300", "savefig.dpi: 60"))
    write_csv(table(("docs-base",)), tmp_path / "table.csv")
    output = SimpleNamespace(pdf=str(tmp_path / "out" / "a.pdf"), png=str(tmp_path / "out" / "a.png"))
    inputs = SimpleNamespace(table=str(tmp_path / "table.csv"), style=str(style))
    job = SimpleNamespace(input=inputs, output=output, log=[str(tmp_path / "log")])
    try:
        runpy.run_path(str(ROOT / "workflow_scripts" / f"plot_{name}.py"), init_globals={"snakemake": job})
    finally:
        logging.captureWarnings(False)
    pdf, png = Path(output.pdf).read_bytes(), Path(output.png).read_bytes()
    plotting.save_figure(draw(plotting.read_figure_table(inputs.table, [])), output.pdf, output.png)
    assert (Path(output.pdf).read_bytes(), Path(output.png).read_bytes()) == (pdf, png)
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf


def test_nearest_is_by_number_not_by_text():
    rows = pd.DataFrame({"group": ["1.0", "0.45", "none", "0.6", "inf"], "value": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert nearest(rows, 0.5)["value"] == 2 and nearest(rows, 0.55)["value"] == 4
    assert nearest(rows[rows["group"] == "none"], 0.5) is None


@pytest.mark.parametrize(
    ("row", "signed", "text"),
    [
        ((2.314, 2.1, 2.5), False, "2.31 [2.10, 2.50]"),
        ((2.314, 2.1, 2.5), True, "+2.31 [+2.10, +2.50]"),
        ((-0.5, -1, 0.25), True, "−0.50 [−1.00, +0.25]"),
        ((2, np.nan, 3), False, "2.00"),
    ],
)
def test_estimates_have_their_interval_if_there_is_one(row, signed, text):
    assert estimate(pd.Series(row, ["value", "low", "high"]), signed) == text


def test_decay_writes_the_spread_nearest_to_half_and_the_difference():
    table = decay_table(("docs-base",))
    spread = table[table["view"] == "spread"].query("variant == 'p90_p10' and not padding")
    row = spread.iloc[(spread["group"].astype(float) - 0.5).abs().argmin()]
    words = words_of(draw_information_decay(table))
    assert f"p90 − p10 at {float(row['group']):.2g} masked:\n{estimate(row)}" in words
    assert {"4.10 [3.95, 4.25]", "2.00 [1.85, 2.15]", "+2.10 [+1.95, +2.25]"} <= set(words)
    two = words_of(draw_information_decay(decay_table()))
    assert any("docs-base: +2.10 [+1.95, +2.25]" in word for word in two)


def test_decay_shows_answers_with_and_without_padding():
    table = decay_table(("docs-base",))
    words = words_of(draw_information_decay(table))
    assert {"answers only", "answers with padding"} <= set(words) and "text of padded answers" not in words
    words = words_of(draw_information_decay(table[table["padding"]]))
    assert {"text of padded answers", "answers with padding"} <= set(words) and "answers only" not in words
    few = table[table["view"] == "position"].assign(prompts=9)  # say nothing of others
    assert "no values" in words_of(draw_information_decay(few))


def test_measured_panels_exist_only_where_something_was_measured():
    measured = words_of(draw_price_of_parallelism(price_table()))
    predicted = words_of(draw_price_of_parallelism(price_table(language=True)))
    assert {"Measured regret", "Measured perplexity", "random"} <= set(measured)
    assert not any(word.startswith("Measured") for word in predicted)
    known = {"exact", "sampled sentences (uniform)"}
    assert known <= set(predicted) and not known & set(measured)
    assert "expected regret\nfrom the curve" in measured and "docs-base, answers only" in measured
    assert "docs-base" in predicted  # without a word on padding where there is only one kind of answers


def test_price_reaches_zero_on_its_axis():
    axes = draw_price_of_parallelism(price_table()).axes[0]
    low, high = axes.get_ylim()
    assert low < 0 < high and "0" in [label.get_text() for label in axes.get_yticklabels()]


def test_areas_stand_in_figures_and_text_has_its_panel():
    words = words_of(draw_smooth_corruption(smooth_table()))
    assert {"0.100 [0.092, 0.108]", "masking, tokens", "docs-base, answers, tokens"} <= set(words)
    assert "Masking the answers of text" in words
    assert "Masking the answers of text" not in words_of(draw_smooth_corruption(smooth_table(())))


def test_distance_from_the_diagonal_is_the_largest():
    rows = pd.DataFrame({"noise": [0.0, 0.5, 1.0], "value": [1.0, 0.4, 0.05]})
    assert largest_distance(rows) == pytest.approx(0.1)


@each_figure
def test_captions_render(name):
    about = SimpleNamespace(
        config={"seed": 7, "curve": {"span": 64, "salience": 0.15}}, wildcards=SimpleNamespace(dataset="docs")
    )
    source = (ROOT / "report" / "captions" / f"{name}.rst").read_text(encoding="utf-8")
    text = Environment(undefined=StrictUndefined).from_string(source).render(snakemake=about)
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert "Seed 7" in html and "<strong>a</strong>" in html and "How to read it" in html
