"""The figures of the marginal trap: what they draw of tables made by formula."""

import itertools

import numpy as np
import pandas as pd
import pytest

from discreteness.figures import incoherence, marginal_trap_steps, marginal_trap_toy
from discreteness.figures.incoherence import PANELS, reference_curve
from discreteness.figures.marginal_trap_steps import temperatures_of, usual
from discreteness.figures.marginal_trap_toy import never_seen, percent, probabilities_of, strings_of
from drawn import check_band, check_line, panel, words_of
from figure_tables import incoherence_table, steps_table, toy_table

pytestmark = pytest.mark.usefixtures("style")


# ---- the toy languages


def test_bars_are_the_probabilities_of_the_strings():
    table = toy_table(("oracle",), ("toy",))
    figure = marginal_trap_toy.draw(table)
    panels = [axes for axes in figure.axes if axes.get_xlabel() == "probability"]
    decodings = ["data", "one step", "two steps", "sequential"]
    strings = strings_of(table)
    for axes, decoding in zip(panels, decodings, strict=True):
        widths = [bars[0].get_width() for bars in axes.containers]
        assert np.allclose(widths, probabilities_of(table[table["decoding"] == decoding], strings))
    words = words_of(figure)
    assert [word for word in words if word in [string for string, _ in strings]] == [string for string, _ in strings]
    assert [word for word in words if word in decodings] == decodings


def test_toy_says_that_three_quarters_were_never_seen():
    words = words_of(marginal_trap_toy.draw(toy_table(models=("oracle",), languages=("toy",))))
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
    assert "any other string" in words_of(marginal_trap_toy.draw(leaking))
    assert "any other string" not in words_of(marginal_trap_toy.draw(toy_table(languages=("toy",), lost=0.001)))


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


# ---- the known language by number of steps


def test_steps_draws_the_values_of_its_table():
    table = steps_table()
    figure = marginal_trap_steps.draw(table)
    for temperature in (0.0, 0.5, 1.0):
        axes = panel(figure, f"temperature {temperature:g}")
        invalid = table[(table["statistic"] == "invalid") & (table["temperature"] == temperature)]
        for _, rows in invalid.groupby(["model", "decoder"]):
            check_band(axes, rows, "steps")
    for kind, name in marginal_trap_steps.KINDS.items():
        for _, rows in usual(table[table["statistic"] == kind]).groupby("model"):
            check_band(panel(figure, name), rows, "steps")
    divergence = panel(figure, "Divergence from the language")
    for _, rows in table[table["statistic"].str.endswith("_kl")].groupby(["model", "statistic"]):
        check_line(divergence, rows["steps"], rows["value"])
    for model, title in (("oracle", "Diversity, oracle"), ("micro", "micro")):
        rows = table[table["model"] == model].set_index(["decoder", "temperature"]).loc[("random", 0.5)]
        shares = (rows.loc[rows["statistic"] == name, "value"] for name in ("invalid", "distinct"))
        check_line(panel(figure, title), *shares)
    labels = {axes.get_ylabel() for axes in figure.axes}
    assert {"share of invalid sentences", "KL (nats)", "distinct share"} <= labels
    title = "2,000 sentences per model, decoder, temperature and number of steps"
    assert {title, "Invalid sentences by kind of error (random, temperature 1)"} <= set(words_of(figure))


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
    temperatures = temperatures_of(table)
    assert temperatures[:2] == [0.0, 1.0] and len(temperatures) == 3 and np.isnan(temperatures[2])


def test_divergences_say_whose_they_are():
    table = steps_table(("oracle",), ("random",), (1.0,), (1, 12))
    words = words_of(marginal_trap_steps.draw(table))
    averaged = {f"averaged over orders, {how}" for how in ("from the curve", "sampled")}
    assert averaged | {"of the sampler itself"} <= set(words)
    without_own = marginal_trap_steps.draw(table[table["statistic"] != "own_kl"])
    assert "of the sampler itself" not in words_of(without_own)


# ---- decoded answers


def test_incoherence_draws_the_values_of_its_table_and_of_the_references():
    table = incoherence_table()
    figure = incoherence.draw(table)
    for statistic, title, unit in itertools.chain(*PANELS):
        axes, rows = panel(figure, title), table[table["statistic"] == statistic]
        assert axes.get_ylabel() == unit
        for _, points in rows.groupby("decoder"):
            check_band(axes, points, "steps")
        heights = [line.get_ydata() for line in axes.lines if line.get_color() == incoherence.REFERENCE]
        reference = reference_curve(rows)["value"]
        assert np.allclose(heights, reference.iloc[0]) if len(reference) else not heights
    assert "docs-base, 100 answers per decoder and number of steps" in words_of(figure)


def test_a_judge_that_does_not_fit_the_text_is_named():
    judged = incoherence_table().assign(judge="gpt2", judge_fits="no")
    words = words_of(incoherence.draw(judged))
    assert {"Perplexity: gpt2", "gpt2 cannot judge this text:\nperplexity of references > 1,000"} <= set(words)
    assert not any("cannot judge" in word for word in words_of(incoherence.draw(judged.assign(judge_fits="yes"))))


def test_perplexity_stands_beside_the_entropy_that_it_needs():
    places = [[statistic for statistic, _, _ in row] for row in PANELS]
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


def test_a_model_may_be_called_like_the_data():
    """Its ways of decoding are drawn, beside the language itself."""
    words = words_of(marginal_trap_toy.draw(toy_table(("data",), ("toy",))))
    assert {"one step", "two steps", "sequential"} <= set(words) and words.count("data") == 2
