"""Figures: drawn from synthetic tables, with warnings as errors, and with the same bytes every time."""

import io
import logging
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import jinja2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from matplotlib.image import imread
from matplotlib.text import Text

from discreteness.core.errors import InputError
from discreteness.core.io import write_csv
from discreteness.figures import plotting
from discreteness.figures.frequency_collapse import collapse_points, draw_frequency_collapse
from discreteness.figures.incoherence import draw_incoherence
from discreteness.figures.information_decay import draw_information_decay
from discreteness.figures.marginal_trap_steps import draw_marginal_trap_steps
from discreteness.figures.marginal_trap_toy import draw_marginal_trap_toy
from discreteness.figures.price_of_parallelism import draw_price_of_parallelism
from discreteness.figures.smooth_corruption import draw_smooth_corruption
from discreteness.figures.top3 import Run, choose_runs, cut_runs, draw_top3, runs_of, shown
from test_information_figures import decay_table, price_table, smooth_table
from test_trap_figures import incoherence_table, steps_table, toy_table

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    "content": [*"Yes| river| water| erosion| valley| distance| representation|ing| floods".split("|"), "Ġdelta"],
    "function": [" the", " of", " and", " a", " in", " to", " is", " that"],
    "punctuation": [",", ".", " (", "\n", "\n\n", " -"],
    "number": [" 1", " 2019", "3"],
    "special": ["<|endoftext|>", "<|eot_id|>"],
}
GLYPHS = [
    "$x_1$",
    "脑细胞",
    "\x00\x1b",
    "�",
    "é",
    "مرحبا",
    " \u200b",
    '","',
    "\r",
    "null",
    "NA",
    "",
    "🧠",
    "\\frac{",
    "ि",
]
PROMPT = "Can a river change its course? By change I mean moving far (preferably within one lifetime)."


@pytest.fixture(autouse=True)
def style():
    """The project's style, and no warning of any kind (a missing glyph is one)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.use_style()
        matplotlib.rcParams["savefig.dpi"] = 60
        yield


def class_mix(position: int, reach: float) -> np.ndarray:
    """Shares of the five classes at a position: content first, then function words, punctuation, the end."""
    x = position / reach
    mix = np.array([np.exp(-x / 2), 0.25 + x * np.exp(-x / 2), 0.1 + 0.5 * x * np.exp(-x / 3), 0.05, 0.02 + 0.3 * x**2])
    return mix / mix.sum()


def different_tokens(draw, mix, k, words=None) -> list[tuple[str, str]]:
    """k different tokens with their classes, drawn by the classes' shares and Zipf's law within a class."""
    chosen: dict[str, str] = {}
    while len(chosen) < k:
        name = str(draw.choice(list(WORDS), p=mix))
        tokens = words or WORDS[name]
        chosen.setdefault(tokens[min(draw.zipf(1.6) - 1, len(tokens) - 1)], name)
    return [(name, token) for token, name in chosen.items()]


def top3_table(span=128, k=3, prompt=PROMPT, peak=0.9, reach=8.0, words=None, seed=0) -> pd.DataFrame:
    """Predictions that are sharp near the prompt, then function words and punctuation, then the end."""
    draw = np.random.default_rng(seed)
    rows = []
    for position in range(span):
        mix = class_mix(position, reach)
        sharp = peak * max(np.exp(-position / reach), float(mix[4]) ** 2, 0.05 / peak)
        probabilities = sharp * 0.45 ** np.arange(k) * (1 - 0.3 * draw.random())
        answer = WORDS["content"][position % 10] if position < 60 else "<|endoftext|>"
        probabilities /= max(1.0, probabilities.sum())
        entropy = float(7.5 * (1 - sharp) ** 1.5)
        for rank, (name, token) in enumerate(different_tokens(draw, mix, k, words), 1):
            rows.append((position, rank, len(rows), token, name, probabilities[rank - 1], entropy, answer))
    columns = "position rank token_id token token_class probability entropy answer_token".split()
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(model="docs-base", dataset="docs", prompt_id="docs:17", prompt=prompt)


def interval(model, statistic, variant, value, width, **more) -> pd.DataFrame:
    """Rows of one statistic over positions, `width` wide on each side."""
    frame = pd.DataFrame(
        {"position": np.arange(len(value)), "value": value, "low": value - width, "high": value + width}
    )
    return frame.assign(model=model, statistic=statistic, variant=variant, **({"token_class": ""} | more))


def collapse_model(model: str, span: int, prompts: int, reach: float, seed: int) -> pd.DataFrame:
    """Every statistic of one model that forgets its prompt over about `reach` positions."""
    draw = np.random.default_rng(seed)
    x = np.arange(span)

    def noisy(curve, size=0.03):
        return curve + size * draw.standard_normal(span).cumsum() * 0.2

    mixes = np.array([class_mix(position, reach) for position in x])
    information = noisy(2.3 * np.exp(-x / reach) + 0.02, 0.02).clip(0)
    end = mixes[:, 4] ** 0.5 * 0.9
    parts = [
        interval(model, "entropy", "all", noisy(3.5 + 2 * np.exp(-((x - 8) ** 2) / 90) - 3 * end), 0.25),
        interval(model, "entropy", "without_eos", noisy(4 + 1.8 * (1 - np.exp(-x / 6))), 0.25),
        interval(model, "top1_probability", "all", noisy(0.12 + 0.35 * np.exp(-x / 3) + 0.7 * end).clip(0, 1), 0.04),
        interval(model, "top1_probability", "without_eos", noisy(0.14 + 0.33 * np.exp(-x / 3)), 0.04),
        interval(model, "eos_probability", "all", end, 0.03),
        interval(model, "kl_unigram", "all", noisy(0.3 + 3.5 * np.exp(-x / 5) + 0.3 * end), 0.15),
        interval(model, "kl_unigram", "without_eos", noisy(0.5 + 4.3 * np.exp(-x / 7)), 0.2),
        interval(model, "prompt_information", "", information, 0.06 + 0.1 * information),
        interval(model, "usable_information", "", noisy(1.5 * np.exp(-x / reach) - 0.08), 0.2),
        interval(model, "answer_nll", "", noisy(4.5 + 1.5 * (1 - np.exp(-x / 5))), 0.3),
        interval(model, "js_next", "", np.where(x == span - 1, np.nan, 0.01 + 0.5 * np.exp(-x / 4)), 0.03),
        interval(model, "js_far", "", 0.02 + 0.62 * np.exp(-x / 9), 0.03),
    ]
    for variant in ("all", "without_eos"):
        share = mixes.copy()
        if variant == "without_eos":
            share[:, 4] = 0
        share /= share.sum(1, keepdims=True)
        for i, name in enumerate(plotting.CLASS_COLOURS):
            parts.append(interval(model, "class_share", variant, share[:, i], 0.05, token_class=name))
    collapse = float(np.argmax(information < 0.1 * information.max()))
    point = {
        "value": collapse,
        "low": collapse - 2,
        "high": collapse + 3,
        "model": model,
        "variant": "",
        "token_class": "",
    }
    parts.append(pd.DataFrame([point | {"statistic": "collapse_point", "position": np.nan}]))
    return pd.concat(parts).assign(dataset="docs", prompts=prompts)


def collapse_table(models=("docs-base",), span=128, prompts=100) -> pd.DataFrame:
    """The table of several models, each of its own reach."""
    frames = [collapse_model(name, span, prompts, 6 + 7 * i, i) for i, name in enumerate(models)]
    return pd.concat(frames, ignore_index=True)


def pixels(figure) -> np.ndarray:
    """The figure as an image; drawing it must warn of nothing."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)[..., :3]


@pytest.mark.parametrize(
    "settings",
    [
        {"span": 128, "prompt": PROMPT * 30},
        {"span": 16, "k": 1, "peak": 0.08, "reach": 300},
        {"span": 20, "k": 5, "reach": 2, "prompt": " \n "},
        {"span": 1, "k": 2},
        {"span": 32, "words": GLYPHS, "prompt": "脑细胞 $x$ \x07 " + "x" * 900},
    ],
    ids=["long-prompt", "flat-k1", "ends-soon-k5", "span1", "glyphs"],
)
def test_top3_draws_whatever_a_model_predicts(settings):
    image = pixels(draw_top3(top3_table(**settings)))
    assert image.shape[1] == 7 * 60 and (image < 0.5).any()


@pytest.mark.parametrize(("models", "span", "prompts"), [(1, 128, 100), (3, 16, 3)])
def test_frequency_collapse_draws_one_model_and_several(models, span, prompts):
    names = ["docs-base", "docs-mini", "a-name-far-too-long-for-a-column-of-three"]
    assert pixels(draw_frequency_collapse(collapse_table(names[:models], span, prompts))).shape[1] == 7 * 60


@pytest.mark.parametrize(
    ("corruption", "span", "said"),
    [
        ("mask", 16, "+ 16 masks"),
        ("mask", 1, "+ 1 mask"),
        ("causal", 16, "+ reference answer\nup to each position"),
        ("uniform", 16, "+ 16 random tokens"),
    ],
)
def test_top3_says_what_the_model_was_shown(corruption, span, said):
    assert shown(span, corruption) == said
    figure = draw_top3(top3_table(span=span, prompt=PROMPT * 9), corruption=corruption)
    pixels(figure)
    words = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    assert [word for word in words if word.startswith("+")] == [said]
    others = [box for word, box in words.items() if word != said]
    assert max(box.x1 for box in others) < words[said].x0  # the prompt ends before it


def test_frequency_collapse_without_collapse_or_optional_curves():
    table = collapse_table(("docs-base", "docs-mini"), span=8)
    table.loc[table["statistic"] == "collapse_point", "value"] = np.nan
    table = table[(table["statistic"] != "js_far") & (table["variant"] != "without_eos")]
    assert collapse_points(table) == {}
    pixels(draw_frequency_collapse(table))


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
    assert plotting.token_label(text, special) == label


def test_text_is_cut_and_wrapped_to_its_room():
    assert plotting.fit_text("short", 100, 7) == "short"
    cut = plotting.fit_text("representation" * 5, 50, 7)
    assert cut.endswith("…") and plotting.text_width(cut, 7) <= 50
    lines = plotting.wrap_text(PROMPT * 9, 200, 7, 2)
    assert len(lines) == 2 and lines[1].endswith("…") and all(plotting.text_width(x, 7) <= 200 for x in lines)
    assert plotting.wrap_text("Hi", 200, 7, 2) == ["Hi"]


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


@pytest.mark.parametrize(
    ("name", "draw", "table", "corruption"),
    [
        ("top3", draw_top3, lambda: top3_table(span=4), "causal"),
        ("frequency_collapse", draw_frequency_collapse, lambda: collapse_table(span=4), {"docs-base": "causal"}),
    ],
    ids=["top3", "frequency_collapse"],
)
def test_scripts_write_the_same_bytes_every_time(name, draw, table, corruption, tmp_path):
    style = tmp_path / "matplotlibrc"
    style.write_text((ROOT / "matplotlibrc").read_text().replace("savefig.dpi: 300", "savefig.dpi: 60"))
    write_csv(table(), tmp_path / "table.csv")
    output = SimpleNamespace(pdf=str(tmp_path / "out" / "a.pdf"), png=str(tmp_path / "out" / "a.png"))
    inputs = SimpleNamespace(table=str(tmp_path / "table.csv"), style=str(style))
    params = SimpleNamespace(settings={"corruption": corruption})
    job = SimpleNamespace(input=inputs, output=output, params=params, log=[str(tmp_path / "log")])
    try:
        runpy.run_path(str(ROOT / "workflow_scripts" / f"plot_{name}.py"), init_globals={"snakemake": job})
    finally:
        logging.captureWarnings(False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.pdf", "a.png"]
    pdf, png = Path(output.pdf).read_bytes(), Path(output.png).read_bytes()
    table = plotting.read_figure_table(inputs.table, [])
    plotting.save_figure(draw(table, corruption=corruption), output.pdf, output.png)
    assert (Path(output.pdf).read_bytes(), Path(output.png).read_bytes()) == (pdf, png)
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf


# ---- names that look like something else

MODELS = (
    "1.5",
    "007",
    "1e3",
    "data",
)  # allowed names of models: a number, one with zeros, one in disguise, a special one
NAMED = {
    "top3": (draw_top3, lambda: top3_table(span=8).assign(model="007"), {"007"}),
    "frequency_collapse": (draw_frequency_collapse, lambda: collapse_table(MODELS[:2], span=8), {"1.5", "007"}),
    "information_decay": (draw_information_decay, lambda: decay_table(MODELS), set(MODELS)),
    "price_of_parallelism": (draw_price_of_parallelism, lambda: price_table(MODELS), set(MODELS)),
    "smooth_corruption": (draw_smooth_corruption, lambda: smooth_table(("007", "grammar")), {"007, answers, tokens"}),
    "incoherence": (draw_incoherence, lambda: incoherence_table(MODELS, ("2", "1.0")), {*MODELS, "2", "1.0"}),
    "marginal_trap_steps": (draw_marginal_trap_steps, lambda: steps_table(MODELS, ("2", "1.0")), {*MODELS, "2", "1.0"}),
    "marginal_trap_toy": (draw_marginal_trap_toy, lambda: toy_table(MODELS), set(MODELS)),
}


@pytest.mark.parametrize("name", NAMED)
def test_names_that_look_like_numbers_stay_names(name, tmp_path):
    draw, table, names = NAMED[name]
    write_csv(table(), tmp_path / "table.csv")
    figure = draw(plotting.read_figure_table(tmp_path / "table.csv", []))
    for axes in figure.axes:
        axes.get_yticklabels()  # makes the labels
    assert names <= {text.get_text() for text in figure.findobj(Text)}


def test_a_model_may_be_called_like_a_known_language():
    """It has a colour and a name of its own, and is no known language."""
    table = smooth_table(("grammar",))
    words = {text.get_text() for text in draw_smooth_corruption(table).findobj(Text)}
    assert {"masking", "grammar, answers", "Masking the answers of text"} <= words
    alone = {text.get_text() for text in draw_smooth_corruption(smooth_table(("grammar",), False)).findobj(Text)}
    assert "no known language\nin this run" in alone and "masking" not in alone


def test_a_model_may_be_called_like_the_data():
    """Its ways of decoding are drawn, beside the language itself."""
    words = [text.get_text() for text in draw_marginal_trap_toy(toy_table(("data",), ("toy",))).findobj(Text)]
    assert {"one step", "two steps", "sequential"} <= set(words) and words.count("data") == 2


def test_plotting_starts_without_torch():
    code = "import sys, discreteness.figures.top3, discreteness.figures.frequency_collapse, discreteness.workflow.jobs;"
    code += "sys.exit(bool({'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("corruption", ["mask", "causal", "uniform"])
@pytest.mark.parametrize("name", ["captions/top3", "captions/frequency_collapse", "workflow"])
def test_report_texts_render(name, corruption):
    probe = {"span": 128, "top_k": 3, "prompts": 100, "example": 0}
    config = {"models": ["docs-base", "docs-mini"], "datasets": ["docs"], "seed": 0, "probe": probe}
    wildcards = SimpleNamespace(model="docs-base", dataset="docs")
    of_models = {"docs-base": corruption, "docs-mini": "mask"} if "collapse" in name else corruption
    params = SimpleNamespace(settings=SimpleNamespace(example=0, corruption=of_models))
    about = SimpleNamespace(config=config, wildcards=wildcards, params=params)
    source = (ROOT / "report" / f"{name}.rst").read_text(encoding="utf-8")
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(source).render(snakemake=about)
    html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert "docs-base" in html and "128" in html
