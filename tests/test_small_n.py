"""One row, one prompt, one sentence: what an estimator cannot say is missing, and the figure says why."""

import io
import itertools
import logging
import math
import runpy
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import tiny
from conftest import small_run
from discreteness.coherence.incoherence import incoherence
from discreteness.core.errors import InputError
from discreteness.core.io import read_csv, write_csv
from discreteness.curves import estimate
from discreteness.curves.price import price_table, summarise
from discreteness.curves.report import exact_prices, expected_regrets, prices_of_records
from discreteness.curves.smooth import smooth_corruption_of_language, smooth_corruption_of_records
from discreteness.curves.step_sizes import expected_kl, optimal_steps
from discreteness.curves.views import recoverable_information, salience_table, spread
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.figures.frequency_collapse import draw as draw_frequency_collapse
from discreteness.figures.incoherence import draw as draw_incoherence
from discreteness.figures.information_decay import draw as draw_information_decay
from discreteness.figures.marginal_trap_steps import draw as draw_marginal_trap_steps
from discreteness.figures.notes import counted, interval_note
from discreteness.figures.price_of_parallelism import draw as draw_price_of_parallelism
from discreteness.figures.smooth_corruption import draw as draw_smooth_corruption
from discreteness.languages import get_language
from discreteness.probing.collapse import aggregate, collapse_point
from discreteness.probing.probe import prepare, probe
from discreteness.probing.sums import Sums
from discreteness.trap.exact import check_model, sampled_price
from discreteness.trap.exact import price_table as language_price_table
from discreteness.trap.sentences import sentence_table
from project import ROOT
from test_trap_tables import answers, rescored

TOY, GRAMMAR = get_language("toy"), get_language("grammar")
ENDS = ["low", "high"]


pytestmark = pytest.mark.usefixtures("style")


def words_of(figure) -> list[str]:
    """Every text of a figure that is drawn; none meets another or leaves the page."""
    figure.savefig(io.BytesIO(), format="png")
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unused = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        unused |= {tick.label1 for tick in axis.get_major_ticks() if not low - 1e-9 <= tick.get_loc() <= high + 1e-9}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text not in unused]
    boxes = [(text, box) for text, box in boxes if box.width > 0]
    for text, box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, text
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 0.5 or up < 0.5 * min(a.height, b.height), (one, other)
    return [text for text, _ in boxes]


def through_csv(table: pd.DataFrame, folder) -> pd.DataFrame:
    """The table as a figure reads it."""
    write_csv(table, folder / "table.csv")
    return read_csv(folder / "table.csv")


@pytest.mark.parametrize(
    ("n", "count", "note"),
    [
        (1, "1 prompt", " (no interval)"),
        (2, "2 prompts", " (intervals cover 50 % at most)"),
        (5, "5 prompts", " (intervals cover 94 % at most)"),
        (6, "6 prompts", ""),
        (1200, "1,200 prompts", ""),
    ],
)
def test_figures_say_how_many_and_what_that_means(n, count, note):
    assert counted(n, "prompt") == count and interval_note(n) == note


# ---- the probe


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    return load_denoiser({"family": "llada", "path": tiny.write(tmp_path_factory.mktemp("small"))}, "cpu")


def questions(prompts: list[str], kept: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A data set and the rows of it that are probed."""
    columns = {"prompt_id": [f"q-{i:05d}" for i in range(len(prompts))], "row": range(len(prompts))}
    rows = pd.DataFrame({**columns, "prompt": prompts, "answer": "the cat runs fast .", "source": ""})
    return rows, rows.head(kept)


def collapse_of(denoiser, prompts: list[str], kept: int, groups: list[int] | None = None) -> pd.DataFrame:
    """The table of a probe of some prompts, whose groups of the jackknife may be given."""
    rows, chosen = questions(prompts, kept)
    positions, _, sums = probe(denoiser, prepare(denoiser, rows, chosen, 6, 3, 0), 6, 3, 500)
    if groups is not None:
        total = Sums.empty(6, denoiser.vocab_size)
        for i, group in enumerate(groups):
            _, _, one = probe(denoiser, prepare(denoiser, rows, rows.iloc[[i]], 6, 3, 0), 6, 3, 500)
            total.add(group, one.probability.sum(0), one.entropy.sum(0))
        sums = total
    return aggregate(positions, sums.information(), 0).assign(model="one", dataset="questions")


PROMPTS = ["what does the cat do", "the dog runs", "say fast"]


def test_one_prompt_is_told_from_no_other(denoiser, tmp_path):
    table = collapse_of(denoiser, PROMPTS, 1)
    assert table[ENDS].isna().all(axis=None)
    empty = table[table["value"].isna()]
    positionless = {"js_next", "js_far"}  # which the last positions do not have
    assert set(empty["statistic"]) - positionless == {"prompt_information", "collapse_point"}
    assert table.loc[table["statistic"] == "entropy", "value"].notna().all()
    words = words_of(draw_frequency_collapse(through_csv(table, tmp_path)))
    assert "one on questions, 1 prompt (no interval)" in words
    assert "prompt information (needs 2 prompts)" in words and "usable information" in words
    assert not any(word.startswith(("at most ln 1", "collapse point")) for word in words)


def test_nothing_about_information_is_drawn_of_one_answer(denoiser, tmp_path):
    table = collapse_of(denoiser, PROMPTS, 1)
    table.loc[table["statistic"] == "usable_information", "value"] = np.nan
    words = words_of(draw_frequency_collapse(through_csv(table, tmp_path)))
    assert "prompt information: needs 2 prompts\nusable information: needs 2 answers" in words
    assert "bits" in words  # of the entropy


def test_two_prompts_have_information_but_no_interval_of_it(denoiser, tmp_path):
    """With either left out the other is alone, whose information is 0 by construction."""
    table = collapse_of(denoiser, PROMPTS, 2, groups=[0, 1])
    rows = table[table["statistic"] == "prompt_information"]
    assert rows["value"].between(0, math.log(2) + 1e-6).all() and rows["value"].max() > 1e-3
    assert rows[ENDS].isna().all(axis=None)
    entropy = table[table["statistic"] == "entropy"]
    assert entropy[ENDS].notna().all(axis=None)
    words = words_of(draw_frequency_collapse(through_csv(table, tmp_path)))
    assert "one on questions, 2 prompts (intervals cover 50 % at most)" in words
    assert "prompt information (interval needs 3)" in words and "at most ln 2 = 0.69" in words


@pytest.mark.parametrize(("groups", "has"), [([0, 1, 2], True), ([0, 0, 1], False), ([0, 0, 0], False)])
def test_the_interval_of_information_needs_two_prompts_whichever_group_is_left_out(denoiser, groups, has):
    rows = collapse_of(denoiser, PROMPTS, 3, groups).query("statistic == 'prompt_information'")
    assert rows["value"].notna().all() and rows[ENDS].notna().all(axis=None) == has


def test_no_information_does_not_collapse():
    assert collapse_point([0.0, 0.0]) is None
    assert collapse_point([3e-8, 1e-8, 1e-9]) is None
    assert collapse_point([math.nan, math.nan]) is None
    assert collapse_point([1e-3, 1e-5]) == 1


def test_figures_name_models_that_read_the_answer(denoiser, tmp_path):
    one = collapse_of(denoiser, PROMPTS, 3)
    table = through_csv(pd.concat([one, one.assign(model="gpt")]), tmp_path)
    words = words_of(draw_frequency_collapse(table, corruption={"one": "mask", "gpt": "causal"}))
    assert any("\ngpt reads the reference answer up to each position" in word for word in words)
    assert not any(
        "reads" in word for word in words_of(draw_frequency_collapse(table, corruption={"one": "mask", "gpt": "mask"}))
    )


# ---- the information curve


def records(prompts: int, length: int = 4, token_class: str = "content", padding: bool = False) -> pd.DataFrame:
    """Records at every k of prompts whose token i costs less the more is visible."""
    rows = [
        (f"p{p}", padding, 0, k, length, 1, i, 1, 5, token_class, -(2.0 + p + i) / (1 + k), -2.0)
        for p in range(prompts)
        for k in range(length)
        for i in range(k, length)
    ]
    return pd.DataFrame(rows, columns=estimate.COLUMNS)


def salient(prompts: int) -> pd.DataFrame:
    """Records with content or function words hidden."""
    parts = [records(prompts, token_class=name) for name in ("content", "function")]
    return pd.concat(parts, ignore_index=True)


def decay(prompts: int) -> pd.DataFrame:
    """The table of recoverable information, as its script puts it together."""
    information = recoverable_information(records(prompts), 0)
    unequal = spread(records(prompts), 0).rename(columns={"statistic": "variant", "mask_ratio": "group"})
    costs = salience_table(salient(prompts), 0).rename(columns={"statistic": "variant", "token_class": "group"})
    tables = [information, unequal.assign(view="spread"), costs.assign(view="salience", padding=False)]
    return pd.concat(tables, ignore_index=True).assign(model="one")


def test_recoverable_information_of_one_answer_has_values_only(tmp_path):
    table = decay(1)
    assert table["value"].notna().all() and table[ENDS].isna().all(axis=None)
    assert decay(2)[ENDS].notna().all(axis=None)
    words = words_of(draw_information_decay(through_csv(table, tmp_path)))
    assert any(word.startswith("one, 1 reference answer (no interval); masked tokens: ") for word in words)
    assert "no values" not in words and not any("[" in word for word in words)


def test_points_need_ten_answers_only_where_there_are_ten(tmp_path):
    """Of four answers all are shown; where most have a hundred, what four have is hidden and the panel says so."""
    few = through_csv(decay(4), tmp_path)
    assert not any(word.startswith(("no values", "fewer than")) for word in words_of(draw_information_decay(few)))
    few.loc[few["view"] != "position", "prompts"] = 100
    assert "fewer than 10 answers" in words_of(draw_information_decay(few))


def test_answers_without_words_have_no_views_of_words():
    special = records(1, token_class="special")
    assert set(recoverable_information(special, 0)["variant"]) == {"all"}
    assert spread(special, 0).empty and expected_regrets(special, [1], 0).empty
    assert set(prices_of_records(special, [1, 2], 0)["statistic"]) == {"price", "relative", "bound"}


def test_the_price_of_one_answer(tmp_path):
    """Equal steps have a price; what step sizes fitted to this one answer would cost others nobody knows."""
    f = np.array([3.0, 1.0, 0.5, 0.25])
    table = price_table({"p": f}, [1, 2], 0).set_index(["schedule", "steps"])
    assert table.at[("uniform", 2), "value"] == pytest.approx(expected_kl(f, [2, 2]))
    assert table.at[("cosine", 1), "relative"] == pytest.approx(1)
    names = ["low", "high", "relative_low", "relative_high"]
    assert table[names].isna().all(axis=None) and table.loc["optimal", ["value", "relative"]].isna().all(axis=None)
    two = price_table({"p": f, "q": f}, [2], 0).set_index("schedule").loc["optimal"]
    assert two["value"] == two["low"] == pytest.approx(expected_kl(f, optimal_steps(f, 2)))
    prices = prices_of_records(records(1), [1, 2, 4], 0).assign(model="one")
    words = words_of(draw_price_of_parallelism(through_csv(prices, tmp_path)))
    assert "curve of 1 reference answer (no interval, no optimal step sizes)" in words and "optimal" not in words
    words = words_of(draw_price_of_parallelism(prices_of_records(records(2), [1, 2, 4], 0).assign(model="one")))
    assert "curve of 2 reference answers (intervals cover 50 % at most)" in words and "optimal" in words


def test_the_command_says_what_one_answer_cannot_tell():
    summary = summarise(records(1), 2)
    assert "1 answer of 4 tokens" in summary and "(equal steps; no interval from 1 answer)" in summary
    assert (
        "these step sizes fit this answer alone, what others lose is unknown: 1 3" in summary and "nan" not in summary
    )
    assert "± half a 95 % interval" in summarise(records(2), 2)


def test_more_steps_than_an_answer_has_tokens_lose_nothing(tmp_path):
    prices = prices_of_records(records(2, length=1), [8, 64], 0)
    assert set(prices["steps"]) == {8} and (prices["value"] == 0).all()
    assert set(exact_prices(np.array([1.0, 0.0]), [16, 32])["steps"]) == {16}
    table = through_csv(prices.assign(model="one"), tmp_path)
    assert "uniform price\nis 0" in words_of(draw_price_of_parallelism(table))


SMOOTH = {"source": "one", "dataset": "questions"}


def test_a_schedule_of_one_answer_is_tested_on_none(tmp_path):
    table = smooth_corruption_of_records(records(1), 0).assign(**SMOOTH)
    values = table.set_index("statistic")["value"]
    assert values["smooth_kept"].isna().all() and values[["kept", "schedule", "area"]].notna().all()
    assert table[ENDS].isna().all(axis=None)
    words = words_of(draw_smooth_corruption(through_csv(table, tmp_path)))
    assert {"1 reference answer (no interval)", "needs 2 answers", "no known language\nin this run"} <= set(words)
    with_language = pd.concat(
        [smooth_corruption_of_language(TOY, 2, 0).assign(source="grammar", dataset="grammar"), table]
    )
    words = words_of(draw_smooth_corruption(with_language))
    assert "one answer has\nno other half" in words and "needs 2 answers" not in words


@pytest.mark.parametrize(("answers", "tested", "interval"), [(2, True, False), (3, True, False), (4, True, True)])
def test_of_the_other_half_an_interval_needs_two(answers, tested, interval):
    table = smooth_corruption_of_records(records(answers), 0).query("statistic == 'smooth_kept'")
    assert table["value"].notna().all() == tested and table[ENDS].notna().all(axis=None) == interval


def test_an_answer_without_information_loses_none():
    """A model that is certain of every token: no share of nothing, and no division by it."""
    certain = records(1).assign(answer_logprob=0.0)
    assert smooth_corruption_of_records(certain, 0).empty
    both = pd.concat([certain, records(2)[lambda table: table["prompt_id"] == "p1"]])
    kept = smooth_corruption_of_records(both, 0).query("statistic == 'kept'")
    assert (kept["n"] == 1).all() and kept["value"].notna().all()


# ---- decoded answers


def test_samples_of_one_prompt_have_no_interval(tmp_path):
    """Intervals are over prompts: more answers to the same one say nothing of others."""
    decoded = pd.concat([answers(["a b c d e"]), answers(["a a b c d"])]).assign(prompt_id="p0", sample=[0, 1])
    again = pd.concat([rescored([1.0], [-9.0]), rescored([3.0], [-0.1])]).assign(sample=[0, 1])
    reference = (answers(["a b c d e"], steps=0), rescored([0.0], [-0.1], steps=0), None)
    table = incoherence({"one": (decoded, again, None), "reference": reference}, None, 0)
    values = table.set_index("statistic")["value"]
    assert values["regret"] == 2 and values["disowned"] == 0.5 and values["adjacent_duplicates"] == 1 / 8
    ends = [f"{name}{end}" for name in ("", "reference_", "difference_") for end in ENDS]
    assert table[ends].isna().all(axis=None)
    words = words_of(draw_incoherence(through_csv(table.assign(model="one"), tmp_path)))
    assert "one, 2 answers per decoder and number of steps (no intervals: one prompt)" in words
    assert {"training text\nnot known", "no judge"} <= set(words)


def test_empty_answers_leave_the_panels_of_words_empty_and_say_so(tmp_path):
    empty, reference = answers(["", ""]), answers(["a b c d e", "b c d e f"], steps=0)
    scores = rescored([], [])
    table = incoherence(
        {"one": (empty, scores, None), "reference": (reference, rescored([0.0, 0], [-1.0, -1], 0), None)}, None, 0
    )
    measured = table.set_index("statistic")["value"]
    assert measured["empty"] == 1 and measured[["regret", "distinct_2"]].isna().all()
    words = words_of(draw_incoherence(through_csv(table.assign(model="one"), tmp_path)))
    assert words.count("no answer has\nenough text") == 1  # of the regret, which references have none of
    assert "not measured" not in words


def test_few_answers_are_named_where_they_are_fewest(tmp_path):
    decoded, reference = (answers(["a b c d e", "a b c d f", ""], steps=steps) for steps in (1, 0))
    scores = [rescored([1.0, 2.0, 1.0], [-1.0, -9.0, -1.0], steps) for steps in (1, 0)]
    table = incoherence({"one": (decoded, scores[0], None), "reference": (reference, scores[1], None)}, None, 0)
    words = words_of(draw_incoherence(through_csv(table.assign(model="one"), tmp_path)))
    assert any("(intervals of 2 answers cover 50 % at most)" in word for word in words)


# ---- known languages


def test_one_sentence_is_always_different(tmp_path):
    good = GRAMMAR.text(GRAMMAR.token_ids[0])
    frame = pd.DataFrame({"temperature": 1.0, "steps": [1, 12], "text": ["x y", good]})
    table = sentence_table(GRAMMAR, frame)
    shares = table[table["statistic"] == "invalid"].set_index("steps")
    assert tuple(shares.loc[1, ["value", *ENDS]]) == pytest.approx((1, 0.2065, 1), abs=1e-4)
    assert tuple(shares.loc[12, ["value", *ENDS]]) == pytest.approx((0, 0, 0.7935), abs=1e-4)
    assert table.loc[table["statistic"] == "distinct", "value"].isna().all()
    words = words_of(draw_marginal_trap_steps(through_csv(table.assign(model="one", decoder="random"), tmp_path)))
    assert "1 sentence per model, decoder, temperature and number of steps" in words
    assert {"needs 2 sentences", "no values"} <= set(words)


def test_the_sampled_price_of_one_sentence_and_of_two():
    oracle = OracleDenoiser(GRAMMAR)
    one = language_price_table(oracle, GRAMMAR, [2], 1).set_index("statistic").loc["sampled_kl"]
    assert np.isfinite(one["value"]) and np.isnan([one["low"], one["high"]]).all()
    prices = sampled_price(oracle, GRAMMAR, [6, 6], 2)
    two = language_price_table(oracle, GRAMMAR, [2], 2).set_index("statistic").loc["sampled_kl"]
    half = math.tan(0.475 * math.pi) * prices.std(ddof=1) / math.sqrt(2)  # Student's t with 1 degree of freedom
    assert (two["value"], two["high"] - two["value"]) == pytest.approx((prices.mean(), half))


@pytest.fixture(scope="module")
def without_start(tmp_path_factory):
    """An autoregressive checkpoint without a chat template and without a start token."""
    folder = tmp_path_factory.mktemp("causal") / "gpt"
    tiny.write_transformers(folder, "gpt2")
    (folder / "chat_template.jinja").unlink()
    return folder


def test_models_that_cannot_fill_in_sentences_are_refused_in_one_line(without_start, denoiser):
    causal = load_denoiser({"family": "autoregressive", "path": without_start}, "cpu")
    assert causal.encode_prompt("") == []
    with pytest.raises(InputError, match=r"^config: x: its corruption is 'causal' \(expected 'mask', .* toy .*\)$"):
        check_model(causal, TOY, "config: x")
    with pytest.raises(InputError, match=r"^config: x: .* no token for 6 of the 7 words of language toy \(He, I, ap"):
        check_model(denoiser, TOY, "config: x")
    oracle = OracleDenoiser(TOY)
    check_model(oracle, TOY, "config: x")
    oracle.context_length = 2
    with pytest.raises(InputError, match=r"^config: x: its context of 2 tokens has no room .* toy, 3 tokens$"):
        check_model(oracle, TOY, "config: x")


def test_a_curve_needs_masks(without_start):
    causal = load_denoiser({"family": "autoregressive", "path": without_start}, "cpu")
    rows, _ = questions(["the cat"], 1)
    with pytest.raises(InputError, match="model: its corruption is 'causal'; a curve hides tokens behind masks"):
        estimate.prepare(causal, rows, rows, 4, "padded")


@pytest.mark.parametrize(
    ("script", "settings", "message"),
    [
        ("marginal_trap_toy_table", {"toys": {"toy": ["gpt"]}}, "error: config: language.toys: gpt: its corruption"),
        ("language_price", {"language": "grammar"}, "error: config: language.models: gpt: its corruption is 'causal'"),
    ],
)
def test_scripts_refuse_a_causal_model_before_they_compute(without_start, tmp_path, caplog, script, settings, message):
    row = {"family": "autoregressive"}
    common = {"rows": {"gpt": row}, "row": row, "threads": 1, "steps": [1], "sentences": 2, "seed": 0}
    provenance = str(without_start / "provenance.json")
    job = SimpleNamespace(
        log=[str(tmp_path / "log")],
        params=SimpleNamespace(settings={**common, **settings}),
        input=SimpleNamespace(models=[provenance], model=provenance),
        wildcards=SimpleNamespace(model="gpt"),
        output=[str(tmp_path / "table.csv")],
    )
    try:
        with pytest.raises(SystemExit):
            runpy.run_path(str(ROOT / "workflow_scripts" / f"{script}.py"), init_globals={"snakemake": job})
    finally:
        logging.captureWarnings(False)
    log = (tmp_path / "log").read_text()
    assert message in log and "Traceback" not in log and not (tmp_path / "table.csv").exists()


# ---- the whole workflow


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [1, 2])
def test_a_whole_run_of_few_prompts(tmp_path, prompts):
    """Every table and figure of one row of data, and of two prompts: what only one prompt has is without interval."""
    warnings.simplefilter("default")
    project = small_run(tmp_path / "copy")
    project.models["two"] = {"family": "llada", "path": "weights/two"}
    lines = (project.folder / "questions.jsonl").read_text().splitlines()
    (project.folder / "questions.jsonl").write_text("\n".join(lines[: 1 if prompts == 1 else 6]))
    for part in ("probe", "decode", "curve"):
        project.config[part]["prompts"] = prompts
    project.config["curve"]["sentences"] = 2
    project.config["language"].update(samples=2, sentences=2)
    project.write()
    project.snakemake("--cores", "2", timeout=1200)
    tables = project.folder / "results/tables"
    for path in tables.glob("*.csv"):
        table = read_csv(path)
        if "low" in table and "prompts" in table and not path.stem.startswith("price_of_parallelism_grammar"):
            alone = table[table["prompts"] == 1]
            assert alone[ENDS].isna().all(axis=None), path.name
            assert (len(alone) > 0) == (prompts == 1) or "price" in path.name
    incoherent = read_csv(tables / "incoherence_questions.csv")
    assert incoherent.loc[incoherent["answers"] == 1, ENDS].isna().all(axis=None)
    assert yaml.safe_load((project.folder / "config.yaml").read_text())["probe"]["prompts"] == prompts
