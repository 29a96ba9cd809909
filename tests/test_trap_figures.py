"""Figures of the marginal trap: drawn from synthetic tables, legible, whatever the tables hold."""

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
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from discreteness.core.io import write_csv
from discreteness.curves.step_sizes import expected_kl
from discreteness.figures import incoherence, marginal_trap_steps, marginal_trap_toy, plotting
from discreteness.figures.incoherence import draw_incoherence, reference_curve
from discreteness.figures.marginal_trap_steps import KINDS, draw_marginal_trap_steps, temperatures_of, usual
from discreteness.figures.marginal_trap_toy import (
    draw_marginal_trap_toy,
    never_seen,
    percent,
    probabilities_of,
    strings_of,
)

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {
    "toy": (["He I", "likes play", "apple tennis"], ["He likes apple", "I play tennis"]),
    "abab": (["A B"] * 4, ["A B A B", "B A B A"]),
}
DECODINGS = ("one step", "two steps", "sequential")
DECODERS = ("random", "low_confidence", "left_to_right", "entropy")
ODD = "脑 $x_1$ \\frac{ a_name_that_is_far_too_long_for_any_place_in_a_figure_of_seven_inches_or_a_legend"


@pytest.fixture(autouse=True)
def style():
    """The project's style, and no warning of any kind (a missing glyph is one)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.use_style()
        matplotlib.rcParams["savefig.dpi"] = 60
        yield


def toy_table(models=("oracle", "micro"), languages=("toy", "abab"), lost=0.03) -> pd.DataFrame:
    """An oracle's strings in closed form, but for two steps; a trained model mixes them and loses `lost` elsewhere."""
    rows = []
    for language in languages:
        words, sentences = LANGUAGES[language]
        strings = [" ".join(string) for string in itertools.product(*(place.split() for place in words))]
        seen = np.array([string in sentences for string in strings])
        said, uniform = seen / seen.sum(), np.full(len(strings), 1 / len(strings))
        half = said if language == "toy" else (said + uniform) / 2
        rows += [(language, "data", "data", *row) for row in zip(strings, said, seen, strict=True)]
        for i, model in enumerate(models):
            for decoding, exact in zip(DECODINGS, (uniform, half, said), strict=True):
                tilt = np.linspace(1 - 0.2 * i, 1 + 0.2 * i, len(strings))
                p = exact * tilt / (exact * tilt).sum() * (1 - i * lost) + (uniform - exact) * i * 0.05
                rows += [(language, model, decoding, *row) for row in zip(strings, p, seen, strict=True)]
    return pd.DataFrame(rows, columns=marginal_trap_toy.COLUMNS)


def steps_table(
    models=("oracle", "micro"),
    decoders=DECODERS[:2],
    temperatures=(0.0, 0.5, 1.0),
    steps=(1, 2, 3, 4, 6, 12),
    samples=2000,
) -> pd.DataFrame:
    """A language of twelve tokens: the price falls with K, confident orders and cold tokens cost variety."""
    curve = 3.4 * np.exp(-np.arange(12) / 2.2)
    draw, rows = np.random.default_rng(0), []
    for (m, model), (d, decoder), temperature, k in itertools.product(
        enumerate(models), enumerate(decoders), temperatures, steps
    ):
        missing = (1 - (np.log(k) / np.log(12)) ** (1 + 0.4 * d)) * (0.35 + 0.63 * temperature) * 0.97**d
        invalid = min(1.0, missing + 0.05 * m)
        kinds = invalid * np.array([0.5, 0.35, 0.3, 0.55, 0.15, 0.3, 0.7])
        distinct = 0.02 + (0.2 + 0.75 * temperature) * (0.35 + 0.65 * invalid) * 0.9**d
        shares = dict(zip(["invalid", "distinct", *KINDS], [invalid, distinct, *kinds], strict=True))
        for statistic, share in shares.items():
            width = 1.96 * np.sqrt(share * (1 - share) / samples)
            value = float(np.clip(share + width / 3 * draw.standard_normal(), 0, 1))
            low, high = max(value - width, 0), min(value + width, 1)
            rows.append((model, decoder, temperature, k, statistic, value, low, high, samples))
    for (m, model), k in itertools.product(enumerate(models), steps):
        sizes = [12 // k + (i >= k - 12 % k) for i in range(k)]
        exact = expected_kl(curve, sizes) + 0.4 * m
        rows.append((model, "random", 1.0, k, "expected_kl", exact, np.nan, np.nan, 0))
        sampled = exact * (1 + 0.02 * draw.standard_normal())
        rows.append((model, "random", 1.0, k, "sampled_kl", sampled, sampled - 0.3, sampled + 0.3, samples))
        if k <= 3 and not m:
            rows.append((model, "random", 1.0, k, "own_kl", exact * (0.8 if k > 1 else 1), np.nan, np.nan, 0))
    return pd.DataFrame(rows, columns=marginal_trap_steps.COLUMNS)


def incoherence_table(models=("docs-base",), decoders=DECODERS[:2], steps=(1, 2, 4, 8, 16, 32, 64, 128), answers=100):
    """Answers that repeat themselves when decoded at once; confident orders end early and say little."""
    references = {
        "regret": np.nan,
        "disowned": 0.06,
        "adjacent_duplicates": 0.004,
        "seq_rep_4": 0.02,
        "distinct_2": 0.93,
        "unseen_bigrams": 0.18,
        "perplexity": 32.0,
        "judge_entropy": 3.6,
        "empty": 0.0,
    }
    rows = []
    for (m, model), (d, decoder), k in itertools.product(enumerate(models), enumerate(decoders), steps):
        rush = 1 / k ** (0.45 + 0.1 * d)
        values = {
            "regret": 2.2 * rush - 0.1,
            "disowned": 0.08 + 0.6 * rush,
            "adjacent_duplicates": 0.01 + 0.25 * rush + 0.02 * d,
            "seq_rep_4": 0.04 + 0.09 * d + 0.3 * rush,
            "distinct_2": 0.9 - 0.1 * d - 0.4 * rush,
            "unseen_bigrams": 0.2 + 0.55 * rush,
            "perplexity": np.exp(3.2 - 0.5 * d + 3 * rush),
            "judge_entropy": 3.5 - 0.4 * d - 0.5 * rush,
            "empty": 0.02 + 0.1 * d * (1 - rush),
        }
        for statistic, value in values.items():
            value = value * (1 + 0.1 * m)
            reference = references[statistic]
            spread = (0.92 * value, 1.08 * value, reference, 0.95 * reference, 1.05 * reference)
            rows.append((model, decoder, k, statistic, value, *spread, answers))
    return pd.DataFrame(rows, columns=incoherence.COLUMNS)


FIGURES = {
    "marginal_trap_toy": (draw_marginal_trap_toy, toy_table),
    "marginal_trap_steps": (draw_marginal_trap_steps, lambda: steps_table(decoders=DECODERS)),
    "incoherence": (draw_incoherence, lambda: incoherence_table(decoders=DECODERS)),
}
SMALL = {
    "marginal_trap_toy": (draw_marginal_trap_toy, lambda: toy_table(("oracle",), ("toy",))),
    "marginal_trap_steps": (
        draw_marginal_trap_steps,
        lambda: steps_table(("oracle",), ("random",), (1.0,), (1, 12)),
    ),
    "incoherence": (draw_incoherence, lambda: incoherence_table(decoders=("random",), steps=(1, 8, 64))),
}
each_figure = pytest.mark.parametrize("name", FIGURES)


def pixels(figure) -> np.ndarray:
    """The figure as an image; drawing it must warn of nothing."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)[..., :3]


def beyond(axis) -> list[Text]:
    """Labels of ticks that an axis keeps but does not draw, because they are outside its limits."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low - 1e-9 <= tick.get_loc() <= high + 1e-9]


def texts_of(figure) -> list[tuple[str, object]]:
    """Every text that is drawn, with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unused = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in beyond(axis)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [text for text in texts if text not in unused]
    assert min(text.get_fontsize() for text in texts) >= plotting.SMALL
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [(text, box) for text, box in boxes if box.width > 0]


def without(table: pd.DataFrame, share: float = 0.3) -> pd.DataFrame:
    """The table with rows missing and, in those left, values missing and infinite."""
    draw = np.random.default_rng(1)
    table = table[draw.random(len(table)) > share].copy()
    for name in table.columns.intersection(["value", "low", "high", "probability", "reference", "reference_low"]):
        table[name] = table[name].mask(draw.random(len(table)) < share / 2)
        table[name] = table[name].mask(draw.random(len(table)) < share / 10, np.inf)
    return table


def named_oddly(table: pd.DataFrame) -> pd.DataFrame:
    """Names of models, decoders and strings that are long, unprintable or look like formulas."""
    for name in table.columns.intersection(["model", "decoder", "decoding", "string", "language"]):
        table[name] = [value if value == "data" else f"{value} {ODD}" for value in table[name]]
    return table


ODD_TABLES = {
    "toy-one-row": ("marginal_trap_toy", lambda: toy_table().head(1)),
    "toy-no-data": ("marginal_trap_toy", lambda: toy_table().query("model != 'data'")),
    "toy-data-only": ("marginal_trap_toy", lambda: toy_table(models=())),
    "toy-five-models": ("marginal_trap_toy", lambda: toy_table(list("abcde"), ["toy"], 0.01)),
    "toy-nothing-seen": ("marginal_trap_toy", lambda: toy_table().assign(seen=False)),
    "toy-names": ("marginal_trap_toy", lambda: named_oddly(toy_table(languages=("toy",)))),
    "toy-missing": ("marginal_trap_toy", lambda: without(toy_table())),
    "steps-one-row": ("marginal_trap_steps", lambda: steps_table().head(1)),
    "steps-one-k": ("marginal_trap_steps", lambda: steps_table(models=("oracle",), steps=(12,))),
    "steps-one-temperature": ("marginal_trap_steps", lambda: steps_table(temperatures=(1.0,))),
    "steps-no-temperature": ("marginal_trap_steps", lambda: steps_table().assign(temperature=np.nan)),
    "steps-only-kl": ("marginal_trap_steps", lambda: steps_table().query("statistic == 'expected_kl'")),
    "steps-no-kl": ("marginal_trap_steps", lambda: steps_table().query("not statistic.str.endswith('kl')")),
    "steps-many": (
        "marginal_trap_steps",
        lambda: steps_table(list("abc"), [f"decoder {i}" for i in range(9)], (0.0, 0.1, 0.3, 0.5, 1.0), (1, 12)),
    ),
    "steps-names": ("marginal_trap_steps", lambda: named_oddly(steps_table())),
    "steps-missing": ("marginal_trap_steps", lambda: without(steps_table())),
    "incoherence-one-row": ("incoherence", lambda: incoherence_table().head(1)),
    "incoherence-one-k": ("incoherence", lambda: incoherence_table(steps=(32,))),
    "incoherence-many": (
        "incoherence",
        lambda: incoherence_table(list("abcde"), [f"decoder {i}" for i in range(9)], steps=(1, 7.3, 128)),
    ),
    "incoherence-no-judge": ("incoherence", lambda: incoherence_table().query("statistic != 'perplexity'")),
    "incoherence-no-values": ("incoherence", lambda: incoherence_table().assign(value=np.nan, reference=np.nan)),
    "incoherence-all-zero": (
        "incoherence",
        lambda: incoherence_table().assign(value=0.0, low=0.0, high=0.0, reference=0.0, reference_low=0.0),
    ),
    "incoherence-names": ("incoherence", lambda: named_oddly(incoherence_table())),
    "incoherence-missing": ("incoherence", lambda: without(incoherence_table(("a", "b")))),
}


@pytest.mark.parametrize("case", ODD_TABLES)
def test_anything_odd_still_draws(case):
    name, table = ODD_TABLES[case]
    image = pixels(FIGURES[name][0](table()))
    assert image.shape[1] == 7 * 60 and (image < 0.5).any()


@pytest.mark.parametrize("case", [*FIGURES, "steps-no-kl", "steps-names", "toy-names"])
def test_no_label_meets_another_or_leaves_the_figure(case):
    name, table = ODD_TABLES.get(case) or (case, FIGURES.get(case, (None, None))[1])
    figure = FIGURES[name][0](table())
    texts = texts_of(figure)
    page = figure.bbox
    for text, box in texts:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(texts, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 0.5 or up < 0.5 * min(a.height, b.height), (one, other)


@each_figure
def test_no_name_is_a_formula_or_a_missing_row(name, tmp_path):
    """Names survive the CSV as they are, though pandas would read `null` or `NA` as missing and `1` as a number."""
    table = FIGURES[name][1]()
    for column in table.columns.intersection(["decoder", "decoding"]):
        table[column] = table[column].replace({"random": "null", "entropy": "1", "one step": "NA", "two steps": "2"})
    write_csv(table, tmp_path / "table.csv")
    read = plotting.read_figure_table(tmp_path / "table.csv", table.columns)
    for column in table.columns.intersection(["model", "language", "decoder", "decoding", "string", "statistic"]):
        assert list(read[column]) == list(table[column])


@each_figure
def test_scripts_write_what_the_function_draws(name, tmp_path):
    draw, table = SMALL[name]
    style = tmp_path / "matplotlibrc"
    style.write_text((ROOT / "matplotlibrc").read_text().replace("savefig.dpi: 300", "savefig.dpi: 60"))
    write_csv(table(), tmp_path / "table.csv")
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


def words_of(figure) -> list[str]:
    return [text for text, _ in texts_of(figure)]


def test_toy_says_that_three_quarters_were_never_seen():
    words = words_of(draw_marginal_trap_toy(toy_table(models=("oracle",), languages=("toy",))))
    assert [word for word in words if word.endswith(" %")] == ["0 %", "75 %", "0 %", "0 %"]
    assert "toy: 2 of these 8 strings are sentences of the language" in words
    assert "any other string" not in words


def test_never_seen_counts_strings_that_are_not_listed():
    rows = pd.DataFrame({"string": ["c", "b", "a"], "probability": [0.1, 0.2, 0.5], "seen": [False, True, True]})
    strings = strings_of(rows)
    assert strings == [("a", True), ("b", True), ("c", False)]
    assert never_seen(probabilities_of(rows, strings), strings) == pytest.approx(0.3)
    assert never_seen(probabilities_of(rows.tail(2), strings), strings) == pytest.approx(0.3)
    assert np.isnan(never_seen(probabilities_of(rows.head(2), strings), strings)), "a sentence is missing"


def test_trained_models_with_other_strings_get_a_line_for_them():
    leaking = toy_table(languages=("toy",), lost=0.03)
    assert "any other string" in words_of(draw_marginal_trap_toy(leaking))
    assert "any other string" not in words_of(draw_marginal_trap_toy(toy_table(languages=("toy",), lost=0.001)))


@pytest.mark.parametrize(
    ("share", "label"),
    [
        (0, "0 %"),
        (1e-12, "0 %"),
        (0.0002, "< 0.1 %"),
        (0.004, "0.4 %"),
        (0.75, "75 %"),
        (0.875, "88 %"),
        (0.999, "> 99 %"),
        (1, "100 %"),
        (np.nan, "–"),
    ],
)
def test_percent_says_nothing_and_all_only_where_it_is(share, label):
    assert percent(share) == label


def test_usual_rows_are_random_at_temperature_one_or_what_comes_nearest():
    table = steps_table()
    assert set(zip(usual(table)["decoder"], usual(table)["temperature"], strict=True)) == {("random", 1.0)}
    other = table[(table["decoder"] != "random") & (table["temperature"] < 1)]
    assert set(usual(other)["decoder"]) == {"low_confidence"} and set(usual(other)["temperature"]) == {0.5}
    unknown = usual(table.assign(temperature=np.nan))
    assert len(unknown) == (table["decoder"] == "random").sum() and usual(table.head(0)).empty


def test_temperatures_are_those_of_samples_with_none_last():
    table = steps_table(temperatures=(1.0, np.nan, 0.0))
    table.loc[table["statistic"] == "own_kl", "temperature"] = 7.0
    found = temperatures_of(table)
    assert found[:2] == [0.0, 1.0] and len(found) == 3 and np.isnan(found[2])


def test_divergences_say_whose_they_are():
    table = SMALL["marginal_trap_steps"][1]()
    words = words_of(draw_marginal_trap_steps(table))
    averaged = {f"averaged over orders, {how}" for how in ("from the curve", "sampled")}
    assert averaged | {"of the sampler itself"} <= set(words)
    without_own = draw_marginal_trap_steps(table[table["statistic"] != "own_kl"])
    assert "of the sampler itself" not in words_of(without_own)


def test_perplexity_stands_beside_the_entropy_that_it_needs():
    places = [[statistic for statistic, _, _ in row] for row in incoherence.PANELS]
    row = next(row for row in places if "perplexity" in row)
    assert row[row.index("perplexity") + 1] == "judge_entropy"
    assert sorted(itertools.chain(*places)) == sorted(incoherence_table()["statistic"].unique())


def test_reference_is_one_line_within_the_widest_interval():
    rows = pd.DataFrame(
        {
            "steps": [1, 1, 2],
            "reference": [0.2, 0.4, np.nan],
            "reference_low": [0.1, 0.3, 0.0],
            "reference_high": [0.25, 0.5, 1.0],
        }
    )
    curve = reference_curve(rows)
    assert curve.to_dict("records") == [{"steps": 1, "value": pytest.approx(0.3), "low": 0.1, "high": 0.5}]


@pytest.mark.parametrize(
    ("steps", "most", "ticks"),
    [
        ([1, 2, 3, 4, 6, 12], 8, ["1", "2", "4", "8", "12"]),
        ([1, 2, 3, 4, 6, 12], 4, ["1", "4", "12"]),
        ([1, 128], 8, ["1", "2", "4", "8", "16", "32", "64", "128"]),
        ([1, 128], 4, ["1", "4", "16", "128"]),
        ([5], 8, ["5"]),
        ([], 8, ["1"]),
        ([1.5, 7.25], 8, ["1.5", "2", "4", "7.25"]),
    ],
)
def test_steps_are_labelled_at_both_ends_and_not_too_close(steps, most, ticks):
    axes = Figure().add_subplot()
    plotting.step_axis(axes, steps, most)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks


def test_colours_and_line_styles_follow_the_order_and_never_repeat_too_soon():
    colours = plotting.decoder_colours([f"d{i % 12}" for i in range(30)])
    assert list(colours) == [f"d{i}" for i in range(12)] and len(set(colours.values())) == 12
    assert plotting.model_lines(["b", "a", "b"]) == {"b": "-", "a": "--"}


@each_figure
def test_captions_render(name):
    about = SimpleNamespace(config={"seed": 7}, wildcards=SimpleNamespace(dataset="docs"))
    source = (ROOT / "report" / "captions" / f"{name}.rst").read_text(encoding="utf-8")
    text = Environment(undefined=StrictUndefined).from_string(source).render(snakemake=about)
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert "7" in html and "<strong>a</strong>" in html and "How to read it" in html
