"""The tables of the information curve: prices beside exact ones, corruption made smooth, the optimal decoder."""

import numpy as np
import pytest

from discreteness.curves.report import (
    exact_prices,
    prices,
    smooth_corruption_of_curves,
    smooth_corruption_of_language,
)
from discreteness.decoding.tables import variants
from discreteness.information import expected_kl, optimal_steps
from discreteness.languages import get_language, information_curve, total_correlation

GRAMMAR = get_language("grammar")
CURVE = information_curve(GRAMMAR)


def test_exact_prices_of_the_grammar():
    table = exact_prices(CURVE, [1, 2, 12, 100]).set_index(["schedule", "steps"])["value"]
    assert set(table.index.get_level_values("steps")) == {1, 2, 12}  # more steps than tokens cost nothing new
    assert table["uniform", 1] == pytest.approx(total_correlation(GRAMMAR))
    assert table["uniform", 12] == pytest.approx(0, abs=1e-9)
    assert table["optimal", 2] < table["uniform", 2]


def test_prices_of_equal_curves_are_those_of_the_curve():
    table = prices({f"p{i}": CURVE for i in range(6)}, [1, 3, 12], 0).set_index(["statistic", "schedule", "steps"])
    for steps, sizes in ((1, [12]), (3, [4, 4, 4])):
        row = table.loc["price", "uniform", steps]
        assert row["value"] == pytest.approx(expected_kl(CURVE, sizes)) == pytest.approx(row["low"])
        assert table.loc["bound", "uniform", steps]["value"] >= row["value"] - 1e-9
    best = expected_kl(CURVE, optimal_steps(CURVE, 3))
    assert table.loc["price", "optimal", 3]["value"] == pytest.approx(best)
    assert (table["prompts"] == 6).all()


def test_corruption_of_the_grammar_and_its_smooth_schedule():
    table = smooth_corruption_of_language(GRAMMAR, 24, 0)
    cells = table.set_index(["corruption", "measure", "statistic"])
    for corruption in ("mask", "uniform", "gaussian"):
        kept = cells.loc[corruption, "tokens", "kept"].sort_values("noise")["value"].to_numpy()
        assert kept[0] == pytest.approx(1, abs=1e-6) and abs(kept[-1]) < 0.25
        smooth = cells.loc[corruption, "tokens", "smooth_kept"]
        assert np.abs(smooth["value"] - (1 - smooth["noise"])).max() < 0.2
        area = float(np.mean(cells.loc[(corruption, "tokens", "area"), "value"]))
        # derived from other sentences than it is checked on, the schedule comes nearer to the diagonal
        assert np.abs(smooth["value"] - (1 - smooth["noise"])).mean() < max(0.06, area)


def test_masking_follows_from_the_curve():
    table = smooth_corruption_of_curves({f"p{i}": CURVE for i in range(4)}, 0)
    smooth = table[(table["statistic"] == "smooth_kept") & (table["measure"] == "sentence")]
    assert np.abs(smooth["value"] - (1 - smooth["noise"])).max() < 0.02
    flat = smooth_corruption_of_curves({f"p{i}": np.ones(8) for i in range(4)}, 0)  # tokens that tell nothing of others
    area = flat[(flat["statistic"] == "area") & (flat["measure"] == "sentence")]["value"].iloc[0]
    assert area == pytest.approx(0, abs=1e-6)


def test_optimal_step_sizes_become_policies():
    row = {"order": "random", "temperature": 1.0, "step_sizes": "optimal"}
    found = variants(row, [1, 3, 12], curve=CURVE)
    assert [policy["step_sizes"] for policy in found] == [optimal_steps(CURVE, count) for count in (1, 3, 12)]
    assert all(sum(policy["step_sizes"]) == 12 for policy in found)
