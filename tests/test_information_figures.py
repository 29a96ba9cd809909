"""The figures of the information curve: what they draw of tables made by formula."""

import numpy as np
import pandas as pd
import pytest

from discreteness.figures import information_decay, price_of_parallelism, smooth_corruption
from discreteness.figures.information_decay import estimate, nearest
from discreteness.figures.smooth_corruption import largest_distance
from drawn import check_band, check_line, panel, words_of
from figure_tables import decay_table, price_table, smooth_table

pytestmark = pytest.mark.usefixtures("style")


# ---- information decay


def test_decay_draws_the_values_of_its_table():
    table = decay_table(("docs-base",))
    figure = information_decay.draw(table)
    titles = {
        "mask_ratio": "Share of the answer masked",
        "distance_to_visible": "Nearest visible token",
        "position": "Position in the answer",
    }
    rows = table.assign(group=pd.to_numeric(table["group"], errors="coerce"))
    for view, title in titles.items():
        axes, of_view = panel(figure, title), rows[(rows["view"] == view) & (rows["variant"] == "all")]
        check_band(axes, of_view[of_view["padding"]], "group")
        check_band(axes, of_view[~of_view["padding"]], "group")
        assert axes.get_ylabel() == "mean R (nats per token)"
    spread = panel(figure, "Same noise, very different loss")
    percentiles = dict(list(rows[(rows["view"] == "spread") & ~rows["padding"]].groupby("variant")))
    check_band(spread, percentiles["p10"], "group")
    check_band(spread, percentiles["p90"], "group")
    check_line(spread, percentiles["p50"]["group"], percentiles["p50"]["value"])
    by_class, salience = panel(figure, "Class of token"), panel(figure, "One word class masked")
    classes = table[(table["view"] == "token_class") & (table["variant"] == "text")].set_index("group")
    losses = table[table["variant"] == "mean_nll"].set_index("group")
    for axes, values in ((by_class, classes), (salience, losses)):
        names = [
            name for name in ("content", "function", "punctuation", "number", "difference") if name in values.index
        ]
        for at, name in enumerate(names):
            check_line(axes, [values.at[name, "value"]], [at])
            check_line(axes, values.loc[name, ["low", "high"]], [at, at])
    assert salience.get_xlabel() == "loss (nats per masked token)"


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
    words = words_of(information_decay.draw(table))
    assert f"p90 − p10 at {float(row['group']):.2g} masked:\n{estimate(row)}" in words
    assert {"4.10 [3.95, 4.25]", "2.00 [1.85, 2.15]", "+2.10 [+1.95, +2.25]"} <= set(words)
    two = words_of(information_decay.draw(decay_table()))
    assert any("docs-base: +2.10 [+1.95, +2.25]" in word for word in two)


def test_decay_shows_answers_with_and_without_padding():
    table = decay_table(("docs-base",))
    words = words_of(information_decay.draw(table))
    assert {"answers only", "answers with padding"} <= set(words) and "text of padded answers" not in words
    words = words_of(information_decay.draw(table[table["padding"]]))
    assert {"text of padded answers", "answers with padding"} <= set(words) and "answers only" not in words
    few = table[table["view"] == "position"].assign(prompts=9)  # say nothing of others
    assert "no values" in words_of(information_decay.draw(few))


# ---- the price of parallel decoding


def test_prices_are_those_of_the_table():
    table = price_table()
    figure = price_of_parallelism.draw(table)
    for title, padding in (("docs-base, answers only", False), ("docs-base, with padding", True)):
        axes = panel(figure, title)
        prices = table[(table["statistic"] == "price") & (table["padding"] == padding)]
        for schedule, rows in prices.groupby("schedule"):
            check_line(axes, rows["steps"], rows["value"])
            if schedule in price_of_parallelism.BANDED:
                check_band(axes, rows, "steps")
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps K (log scale)", "price (nats per answer)")
    relative = [axes for axes in figure.axes if axes.get_ylabel() == "price / uniform price"]
    shares = table.query("statistic == 'relative' and schedule == 'optimal' and not padding")["value"]
    assert any(
        np.allclose(line.get_ydata(), shares) for line in relative[0].lines if len(line.get_ydata()) == len(shares)
    )
    regret, perplexity = (panel(figure, f"Measured {name}") for name in ("regret", "perplexity"))
    for axes, name in ((regret, "regret"), (perplexity, "perplexity")):
        for _, rows in table[table["statistic"] == name].groupby("schedule"):
            drawn = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == len(rows)]
            assert any(np.allclose(values, rows["value"]) for values in drawn)
    check_band(regret, table.query("statistic == 'regret_expected' and padding"), "steps")
    assert (regret.get_ylabel(), perplexity.get_ylabel()) == ("nats per token", "perplexity (judge)")


def test_a_known_language_has_exact_and_sampled_prices():
    table = price_table(("oracle",), language=True, steps=(1, 2, 3, 4, 6, 12))
    axes = panel(price_of_parallelism.draw(table), "oracle")
    for statistic in ("exact", "sampled"):
        for _, rows in table[table["statistic"] == statistic].groupby("schedule"):
            check_line(axes, rows["steps"], rows["value"])


def test_more_panels_than_letters():
    models = [f"model {i}" for i in range(7)]
    words = words_of(price_of_parallelism.draw(price_table(models, steps=(1, 8))))
    assert words.count("Relative to uniform") == 14 and "z" in words


def test_measured_panels_exist_only_where_something_was_measured():
    measured = words_of(price_of_parallelism.draw(price_table()))
    predicted = words_of(price_of_parallelism.draw(price_table(language=True)))
    assert {"Measured regret", "Measured perplexity", "random"} <= set(measured)
    assert not any(word.startswith("Measured") for word in predicted)
    known = {"exact", "sampled sentences (uniform)"}
    assert known <= set(predicted) and not known & set(measured)
    assert "expected regret\nfrom the curve" in measured and "docs-base, answers only" in measured
    assert "docs-base" in predicted  # without a word on padding where there is only one kind of answers


def test_price_reaches_zero_on_its_axis():
    axes = price_of_parallelism.draw(price_table()).axes[0]
    low, high = axes.get_ylim()
    assert low < 0 < high and "0" in [label.get_text() for label in axes.get_yticklabels()]


# ---- the information-smooth schedule


def test_smooth_corruption_draws_the_curves_of_its_table():
    table = smooth_table(("docs-base",))
    figure = smooth_corruption.draw(table)
    language, keys = table["source"] == "grammar", ["source", "padding", "corruption", "measure"]
    panels = [
        ("Known language, each token alone", table[language & (table["measure"] == "tokens")], "kept"),
        ("Known language, whole sentence", table[language & (table["measure"] == "sentence")], "kept"),
        ("Masking reference answers", table[~language], "kept"),
        ("Information-smooth schedule", table, "schedule"),
        ("Information under that schedule, on the other half", table, "smooth_kept"),
    ]
    for title, rows, statistic in panels:
        for _, series in rows[rows["statistic"] == statistic].groupby(keys):
            check_band(panel(figure, title), series, "noise")
    areas = table[table["statistic"] == "area"]
    for at, row in enumerate(areas.itertuples()):
        check_line(panel(figure, "Area between curve and diagonal"), [row.value], [at])
    distance = largest_distance(table[table["statistic"] == "smooth_kept"])
    assert f"at most {distance:.3f}\nfrom the diagonal" in words_of(figure)


def test_areas_stand_in_figures_and_text_has_its_panel():
    words = words_of(smooth_corruption.draw(smooth_table()))
    assert {"0.100 [0.092, 0.108]", "masking, tokens", "docs-base, answers, tokens"} <= set(words)
    assert "Masking reference answers" in words
    assert "Masking reference answers" not in words_of(smooth_corruption.draw(smooth_table(())))


def test_distance_from_the_diagonal_is_the_largest():
    rows = pd.DataFrame({"noise": [0.0, 0.5, 1.0], "value": [1.0, 0.4, 0.05]})
    assert largest_distance(rows) == pytest.approx(0.1)


def test_a_model_may_be_called_like_a_known_language():
    """It has a colour and a name of its own, and is no known language."""
    table = smooth_table(("grammar",))
    words = set(words_of(smooth_corruption.draw(table)))
    assert {"masking", "grammar, answers", "Masking reference answers"} <= words
    alone = set(words_of(smooth_corruption.draw(smooth_table(("grammar",), False))))
    assert "no known language\nin this run" in alone and "masking" not in alone
