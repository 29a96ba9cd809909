"""Every figure, drawn from tables made by formula; the two of the probe, and what figures share, in detail."""

import inspect
import logging
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from discreteness.core.errors import InputError
from discreteness.core.io import write_csv
from discreteness.figures import plotting, smooth_corruption
from discreteness.figures.frequency_collapse import class_shares, collapse_points, curve
from discreteness.figures.frequency_collapse import draw as draw_frequency_collapse
from discreteness.figures.text import fit_text, text_width, token_label, wrap_text
from discreteness.figures.top3 import Run, choose_runs, cut_runs, runs_of, shown
from discreteness.figures.top3 import draw as draw_top3
from discreteness.workflow.fingerprint import code_files
from drawn import caption, check_band, check_layout, check_line, panel, words_of
from figure_tables import (
    GLYPHS,
    PROMPT,
    TABLES,
    collapse_table,
    decay_table,
    incoherence_table,
    named_oddly,
    price_table,
    smooth_table,
    steps_table,
    top3_table,
    toy_table,
    without,
)

pytestmark = pytest.mark.usefixtures("style")
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "workflow_scripts/discreteness/figures"
each_figure = pytest.mark.parametrize("name", TABLES)


def draw(name: str, table: pd.DataFrame, **settings) -> Figure:
    """The figure of a module named at run time, as `plot.py` draws it."""
    return import_module(f"discreteness.figures.{name}").draw(table, **settings)


# ---- every figure


def test_every_figure_is_tested_and_has_the_same_interface():
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "plotting", "notes", "text"}
    assert modules == set(TABLES)
    for name, table in TABLES.items():
        module = import_module(f"discreteness.figures.{name}")
        first, *settings = inspect.signature(module.draw).parameters.values()
        assert first.name == "table" and {setting.kind for setting in settings} <= {inspect.Parameter.KEYWORD_ONLY}
        assert set(module.COLUMNS) <= set(table().columns)


def test_the_script_depends_on_the_figure_that_it_is_given_alone():
    files = code_files("plot.py", "figures.top3")
    assert [name for name in TABLES if f"workflow_scripts/discreteness/figures/{name}.py" in files] == ["top3"]


SMALL = {
    "top3": (lambda: top3_table(span=4), {"corruption": "causal"}),
    "frequency_collapse": (lambda: collapse_table(span=4), {"corruption": {"docs-base": "causal"}}),
    "information_decay": (lambda: decay_table(("docs-base",)), {}),
    "price_of_parallelism": (price_table, {}),
    "smooth_corruption": (lambda: smooth_table(("docs-base",)), {}),
    "incoherence": (lambda: incoherence_table(decoders=("random",), steps=(1, 8, 64)), {}),
    "marginal_trap_steps": (lambda: steps_table(("oracle",), ("random",), (1.0,), (1, 12)), {}),
    "marginal_trap_toy": (lambda: toy_table(("oracle",), ("toy",)), {}),
}


@each_figure
def test_the_script_writes_the_same_bytes_every_time(name, tmp_path):
    table, settings = SMALL[name]
    style = tmp_path / "matplotlibrc"
    style.write_text((ROOT / "matplotlibrc").read_text().replace("savefig.dpi: 300", "savefig.dpi: 60"))
    write_csv(table(), tmp_path / "table.csv")
    output = SimpleNamespace(pdf=str(tmp_path / "out" / "a.pdf"), png=str(tmp_path / "out" / "a.png"))
    inputs = SimpleNamespace(table=str(tmp_path / "table.csv"), style=str(style))
    params = SimpleNamespace(settings={"figure": name, "draw": settings})
    job = SimpleNamespace(input=inputs, output=output, params=params, log=[str(tmp_path / "log")])
    try:
        runpy.run_path(str(ROOT / "workflow_scripts/plot.py"), init_globals={"snakemake": job})
    finally:
        logging.captureWarnings(False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.pdf", "a.png"]
    pdf, png = Path(output.pdf).read_bytes(), Path(output.png).read_bytes()
    table = plotting.read_figure_table(inputs.table, [])
    plotting.save_figure(draw(name, table, **settings), output.pdf, output.png)
    assert (Path(output.pdf).read_bytes(), Path(output.png).read_bytes()) == (pdf, png)
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf


@pytest.mark.parametrize("dpi", [60, 100, 300])
def test_no_label_of_a_saved_figure_is_cut(dpi, tmp_path):
    """The same text is wider in a PNG of few dots per inch than in the PDF: the PNG has a layout of its own."""
    matplotlib.rcParams.update({"savefig.dpi": dpi, "figure.dpi": dpi})
    figure = smooth_corruption.draw(smooth_table())
    plotting.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    figure.set_layout_engine("none")
    check_layout(figure)


LONG = "a-name-far-too-long-for-a-column-of-three"
ODD_TABLES = {
    "top3-long-prompt": ("top3", lambda: top3_table(prompt=PROMPT * 30)),
    "top3-flat-k1": ("top3", lambda: top3_table(16, k=1, peak=0.08, reach=300)),
    "top3-ends-soon-k5": ("top3", lambda: top3_table(20, k=5, reach=2, prompt=" \n ")),
    "top3-span1": ("top3", lambda: top3_table(1, k=2)),
    "top3-glyphs": ("top3", lambda: top3_table(32, words=GLYPHS, prompt="脑细胞 $x$ \x07 " + "x" * 900)),
    "collapse-three-models": ("frequency_collapse", lambda: collapse_table(("docs-base", "docs-mini", LONG), 16, 3)),
    "collapse-two-prompts": (
        "frequency_collapse",
        lambda: collapse_table(("docs-base", LONG), 16, 2).assign(
            low=lambda table: table["low"].where(table["statistic"] != "prompt_information")
        ),
    ),
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
    "incoherence-foreign-judge": ("incoherence", lambda: incoherence_table().assign(judge="gpt2", judge_fits="no")),
}


@pytest.mark.parametrize("case", [*TABLES, *ODD_TABLES])
def test_no_label_meets_another_or_leaves_the_figure(case):
    """Whatever a table holds, it is drawn without a warning, and can be read."""
    name, table = ODD_TABLES.get(case) or (case, TABLES[case])
    check_layout(draw(name, table()))


MODELS = ("1.5", "007", "1e3", "data")  # allowed names of models, though they look like something else
NAMED = {
    "top3": (lambda: top3_table(span=8).assign(model="007"), {"007"}),
    "frequency_collapse": (lambda: collapse_table(MODELS[:2], span=8), {"1.5", "007"}),
    "information_decay": (lambda: decay_table(MODELS), set(MODELS)),
    "price_of_parallelism": (lambda: price_table(MODELS), set(MODELS)),
    "smooth_corruption": (lambda: smooth_table(("007", "grammar")), {"007, answers, tokens"}),
    "incoherence": (lambda: incoherence_table(MODELS, ("null", "1.0")), {*MODELS, "null", "1.0"}),
    "marginal_trap_steps": (lambda: steps_table(MODELS, ("NA", "1.0")), {*MODELS, "NA", "1.0"}),
    "marginal_trap_toy": (lambda: toy_table(MODELS), set(MODELS)),
}


@each_figure
def test_names_that_look_like_numbers_or_missing_values_stay_names(name, tmp_path):
    table, names = NAMED[name]
    write_csv(table(), tmp_path / "table.csv")
    assert names <= set(words_of(draw(name, plotting.read_figure_table(tmp_path / "table.csv", []))))


def test_tables_keep_odd_tokens_and_errors_name_the_file(tmp_path):
    path = tmp_path / "table.csv"
    tokens = [*GLYPHS, "nan", " ", "\n", '"', "a,b"]
    write_csv(pd.DataFrame({"token": tokens, "position": [np.nan, *range(1, len(tokens))]}), path)
    table = plotting.read_figure_table(path, ["token", "position"])
    assert list(table["token"]) == tokens and table["position"].isna().sum() == 1
    with pytest.raises(InputError, match=r"table\.csv: lacks the column\(s\) rank"):
        plotting.read_figure_table(path, ["token", "rank"])
    path.write_text("token,position\n")
    with pytest.raises(InputError, match="no rows"):
        plotting.read_figure_table(path, ["token"])
    with pytest.raises(InputError, match="no such file"):
        plotting.read_figure_table(tmp_path / "none.csv", ["token"])


def test_plotting_starts_without_torch():
    code = "import sys, discreteness.figures.top3, discreteness.figures.frequency_collapse, discreteness.workflow.jobs;"
    code += "sys.exit(bool({'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CONFIG = {
    "models": ["docs-base", "docs-mini"],
    "datasets": ["docs"],
    "seed": 7,
    "probe": {"span": 128, "top_k": 3, "prompts": 100, "example": 0},
    "curve": {"span": 64, "salience": 0.15},
}


@pytest.mark.parametrize("corruption", ["mask", "causal", "uniform"])
@each_figure
def test_captions_render(name, corruption):
    of_models = {"docs-base": corruption, "docs-mini": "mask"} if name == "frequency_collapse" else corruption
    params = SimpleNamespace(settings={"caption": {"example": 0}, "draw": {"corruption": of_models}})
    wildcards = SimpleNamespace(model="docs-base", dataset="docs")
    html = caption(f"captions/{name}", config=CONFIG, wildcards=wildcards, params=params)
    assert "<strong>a</strong>" in html and ("Seed 7" in html or "training: 7" in html)
    assert ("How to read it" in html) != (name in ("top3", "frequency_collapse"))
    if name in ("top3", "frequency_collapse"):
        assert ("no masks" in html) == (corruption != "mask") and "docs-base" in html and "128" in html
        assert ("reference answer up to there" in html) == (corruption == "causal")


def test_the_introduction_renders():
    html = caption("workflow", config=CONFIG)
    assert "docs-base, docs-mini" in html and "128" in html


# ---- the predictions after one prompt


def test_top3_draws_the_probabilities_and_the_entropy_of_its_table():
    table = top3_table(span=32, k=5)
    figure = draw_top3(table)
    strip = panel(figure, "Every position: the 5 most probable tokens, stacked")
    for bars, (rank, rows) in zip(strip.containers, table.groupby("rank"), strict=True):
        assert np.allclose([bar.get_height() for bar in bars], rows["probability"])
        lower = table[table["rank"] < rank].groupby("position")["probability"].sum()
        assert np.allclose([bar.get_y() for bar in bars], lower if rank > 1 else 0)
        if rank == 1:
            colours = [to_rgb(plotting.CLASS_COLOURS[name]) for name in rows["token_class"]]
            assert np.allclose([bar.get_facecolor()[:3] for bar in bars], colours)
    first = table[table["rank"] == 1]
    entropy = panel(figure, "Uncertainty")
    check_line(entropy, first["position"], first["entropy"])
    assert (strip.get_ylabel(), entropy.get_ylabel()) == ("probability", "entropy (nats)")
    assert entropy.get_xlabel() == "position (tokens after the prompt)"


def test_top3_outlines_the_tokens_of_the_answer_and_writes_each_cell():
    table = top3_table(span=8)
    table["answer_token"] = table.groupby("position")["token"].transform("first")
    figure = draw_top3(table, near=8)
    cells = panel(figure, "Next to the prompt")
    outlined = [patch for patch in cells.patches if patch.get_facecolor()[3] == 0]
    assert sorted(int(patch.get_y()) for patch in outlined) == list(range(4))  # the nearer half of the positions
    words = [text.get_text() for text in cells.texts[:-2]]  # the last two are the panel's letter and title
    rows = table[table["position"] < 4]
    labels = [token_label(row.token, row.token_class == "special") for row in rows.itertuples()]
    assert [word for word in words if word in labels] == labels
    assert words[1:4] == ["most probable", "second", "third"]


@pytest.mark.parametrize(
    ("corruption", "span", "text"),
    [
        ("mask", 16, "+ 16 masks"),
        ("mask", 1, "+ 1 mask"),
        ("causal", 16, "+ reference answer\nup to each position"),
        ("uniform", 16, "+ 16 random tokens"),
    ],
)
def test_top3_says_what_the_model_was_shown(corruption, span, text):
    assert shown(span, corruption) == text
    figure = draw_top3(top3_table(span=span, prompt=PROMPT * 9), corruption=corruption)
    check_layout(figure)
    words = {label.get_text(): label.get_window_extent() for label in figure.axes[0].texts}
    assert [word for word in words if word.startswith("+")] == [text]
    others = [box for word, box in words.items() if word != text]
    assert max(box.x1 for box in others) < words[text].x0  # the prompt ends before it


def test_runs_join_equal_neighbours():
    assert runs_of(["a", "a", "b", "a"], start=16) == [Run(16, 17), Run(18, 18), Run(19, 19)]
    assert runs_of([]) == []
    assert [Run(24, 32).label, Run(5, 5).label, Run(24, 32).middle] == ["24–32", "5", 28]


def test_chosen_runs_keep_the_longest_and_spread():
    runs = runs_of([f"t{i}" for i in range(60)] + ["<eos>"] * 52, start=16)
    chosen = choose_runs(runs, 16)
    assert len(chosen) == 16 and chosen == sorted(chosen)
    assert Run(76, 127) in chosen
    assert chosen[0].first < 20 and any(40 < run.first < 60 for run in chosen)
    assert choose_runs(runs[:5], 16) == runs[:5]


def test_long_runs_are_cut_to_fill_the_rows():
    """All positions stay covered once, and no piece spans two runs."""
    runs = [Run(16, 18), Run(19, 127)]
    pieces = cut_runs(runs, 16)
    assert 10 <= len(pieces) <= 16
    assert [p for piece in pieces for p in range(piece.first, piece.last + 1)] == list(range(16, 128))
    assert 19 in {piece.first for piece in pieces}
    assert cut_runs([], 4) == [] and cut_runs(runs, 2) == runs


# ---- the collapse with distance


def test_frequency_collapse_draws_the_curves_of_its_table():
    table = collapse_table(("one", "two"), span=16)
    figure = draw_frequency_collapse(table)
    panels = {
        "Information about the prompt": ["prompt_information", "usable_information"],
        "Entropy": ["entropy"],
        "Probability": ["top1_probability", "eos_probability"],
        "Divergence from unigram": ["kl_unigram"],
        "Difference between positions": ["js_next", "js_far"],
    }
    for title, statistics in panels.items():
        for model in ("one", "two"):
            for statistic in statistics:
                check_band(panel(figure, title), curve(table, model, statistic), "position")
    information = panel(figure, "Information about the prompt")
    triangles = [line for line in information.lines if line.get_marker() == "^"]
    assert [line.get_xdata()[0] for line in triangles] == list(collapse_points(table).values())
    units = [panel(figure, title).get_ylabel() for title in panels]
    assert units == ["information (nats)", "entropy (nats)", "probability", "KL (nats)", "JS (nats)"]
    assert "at most ln 100 = 4.61" in words_of(figure) and words_of(figure).count("bits") == 2


def test_class_shares_are_stacked_in_their_order():
    table = collapse_table(span=16)
    axes = draw_frequency_collapse(table).axes[0]
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections]
    shares = class_shares(table, "docs-base", "all")
    assert np.allclose(tops, shares.cumsum(axis=1).max())
    assert [tuple(area.get_facecolor()[0][:3]) for area in axes.collections] == [
        to_rgb(colour) for colour in plotting.CLASS_COLOURS.values()
    ]


def test_frequency_collapse_without_collapse_or_optional_curves():
    table = collapse_table(("docs-base", "docs-mini"), span=8)
    table.loc[table["statistic"] == "collapse_point", "value"] = np.nan
    table = table[(table["statistic"] != "js_far") & (table["variant"] != "without_eos")]
    assert collapse_points(table) == {}
    words = check_layout(draw_frequency_collapse(table))
    assert "collapse point" not in words and not any("▲" in word for word in words)
    assert words.count("special removed") == 2  # of entropy and divergence, not of probabilities


# ---- what figures share


@pytest.mark.parametrize(
    ("text", "special", "label"),
    [
        (" the", False, "the"),
        ("Ġthe", False, "the"),
        ("▁the", False, "the"),
        (" ", False, "␣"),
        ("\n\n", False, "⏎⏎"),
        ("\t", False, "⇥"),
        ("", False, "∅"),
        ("脑", False, "□"),
        ("\x00", False, "□"),
        ("$", False, "$"),
        ("<|endoftext|>", True, "⟨eos⟩"),
        ("<|eot_id|>", True, "⟨eot⟩"),
        ("</s>", True, "⟨eos⟩"),
        ("[PAD]", True, "⟨pad⟩"),
    ],
)
def test_token_labels(text, special, label):
    assert token_label(text, special) == label


def test_text_is_cut_and_wrapped_to_its_room():
    assert fit_text("short", 100, 7) == "short"
    cut = fit_text("representation" * 5, 50, 7)
    assert cut.endswith("…") and text_width(cut, 7) <= 50
    lines = wrap_text(PROMPT * 9, 200, 7, 2)
    assert len(lines) == 2 and lines[1].endswith("…") and all(text_width(x, 7) <= 200 for x in lines)
    assert wrap_text("Hi", 200, 7, 2) == ["Hi"]


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
