"""The tables of the information curve: prices beside exact ones, corruption made smooth, the optimal decoder."""

import numpy as np
import pandas as pd
import pytest
import torch

from discreteness.core.errors import InputError
from discreteness.curves.price import summarise
from discreteness.curves.records import as_generated, prompt_curves
from discreteness.curves.report import exact_prices, expected_regrets, prices, prices_of_records
from discreteness.curves.smooth import (
    smooth_corruption_of_curves,
    smooth_corruption_of_language,
    smooth_corruption_of_records,
)
from discreteness.curves.step_sizes import expected_kl, expected_regret, optimal_steps
from discreteness.decoding.rows import variants
from discreteness.languages import get_language
from discreteness.languages.language import exact_curve, total_correlation

GRAMMAR = get_language("grammar")
CURVE = exact_curve(GRAMMAR)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One thread of torch: on small matrices more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    relative = table.loc["relative", "optimal", 3]["value"]
    assert relative == pytest.approx(best / expected_kl(CURVE, [4, 4, 4]))
    assert ("relative", "optimal", 12) not in table.index  # nothing is a share of nothing


def test_pairs_that_depend_on_each_other_regret_twice_the_price():
    """Tokens that come in pairs, ½ε nats known from the partner: a step of two costs it once, both tokens regret it."""
    f = np.array([1.0, 0.9])
    assert expected_regret(f, [2]) == pytest.approx(2 * expected_kl(f, [2])) == pytest.approx(0.2)
    assert expected_regret(f, [1, 1]) == expected_kl(f, [1, 1]) == 0
    with pytest.raises(InputError, match=r"step sizes \[3\] do not reveal 2 positions"):
        expected_regret(f, [3])


def records_of(curves: dict[bool, list[float]]) -> pd.DataFrame:
    """Three prompts' records at every k, with and without padding, whose curves are exactly these."""
    rows = [
        (f"p{p}", padding, 0, k, len(f), 1, position, -f[k])
        for padding, f in curves.items()
        for p in range(3)
        for k in range(len(f))
        for position in range(k, len(f))
    ]
    columns = "prompt_id padding replicate visible span weight position answer_logprob".split()
    return pd.DataFrame(rows, columns=columns).assign(token_class="content")


def test_regret_is_expected_of_the_text_alone():
    """The last of three tokens is padding and certain; the others cost 3 nats at first, 2 with one token visible."""
    records = records_of({True: [3.0, 2.0, 1.0]})
    records.loc[records["position"] == 2, ["answer_logprob", "token_class"]] = 0.0, "special"
    table = expected_regrets(records, [1, 3], 0).set_index("steps")["value"]
    assert table[1] == pytest.approx(3 - 2)  # with two visible no text is masked: as with one
    assert table[3] == 0


def test_answers_with_and_without_padding_are_kept_apart():
    curves = {False: [2.0, 1.0], True: [3.0, 2.0, 1.0]}
    records = records_of(curves)
    table = prices_of_records(records, [1, 2, 3], 0).set_index(["statistic", "padding", "schedule", "steps"])["value"]
    assert table["price", False, "uniform", 1] == pytest.approx(1) and table[
        "price", True, "uniform", 1
    ] == pytest.approx(3)
    assert table["regret_expected", True, "uniform", 1] == pytest.approx(2)  # 3 − 1
    assert table["regret_expected", True, "uniform", 2] == pytest.approx(2 / 3 * 1)  # two of three in a step: 2 − 1
    assert ("price", False, "uniform", 3) not in table.index and table["price", True, "uniform", 3] == 0
    assert prompt_curves(as_generated(records))["p0"] == pytest.approx(curves[True])
    assert prompt_curves(as_generated(records[~records["padding"]]))["p0"] == pytest.approx(curves[False])
    with pytest.raises(InputError, match="with and without padding together"):
        prompt_curves(records)
    areas = smooth_corruption_of_records(records, 0).query("statistic == 'area'")
    assert areas.groupby("padding").size().to_dict() == {False: 2, True: 2}
    summary = summarise(records, 1)
    assert (
        "answers only: 3 answers of 2 tokens" in summary
        and "answers with their padding: 3 answers of 3 tokens" in summary
    )


def test_corruption_of_the_grammar_and_its_smooth_schedule():
    table = smooth_corruption_of_language(GRAMMAR, 16, 0)
    cells = table.set_index(["corruption", "measure", "statistic"])
    for corruption in ("mask", "uniform", "gaussian"):
        kept = cells.loc[corruption, "tokens", "kept"].sort_values("noise")["value"].to_numpy()
        assert kept[0] == pytest.approx(1, abs=1e-6) and abs(kept[-1]) < 0.25
        times = cells.loc[corruption, "tokens", "schedule"].sort_values("noise")
        assert (np.diff(times["value"]) >= 0).all() and times["value"].iloc[[0, -1]].tolist() == pytest.approx([0, 1])
        assert (times["low"] <= times["value"] + 1e-9).all() and (times["value"] <= times["high"] + 1e-9).all()
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


def test_of_unequal_answers_the_information_is_added_up():
    """Curves c · (1, 0, 0), as the toy's, keep 1 − t³ by both measures; one token of one nat keeps 1 − t."""
    table = smooth_corruption_of_curves({"p0": np.array([2.0, 0, 0]), "p1": np.array([1.0])}, 0)
    kept = table[(table["statistic"] == "kept") & np.isclose(table["noise"], 0.5)].set_index("measure")["value"]
    assert kept["sentence"] == pytest.approx((2 * 7 / 8 + 1 / 2) / 3, abs=1e-6)
    assert kept["tokens"] == pytest.approx((6 * 7 / 8 + 1 / 2) / 7, abs=1e-6)


def test_optimal_step_sizes_become_policies():
    row = {"order": "random", "temperature": 1.0, "step_sizes": "optimal"}
    policies = variants(row, [1, 3, 12], curve=CURVE)
    assert [policy["step_sizes"] for policy in policies] == [optimal_steps(CURVE, count) for count in (1, 3, 12)]
    assert all(sum(policy["step_sizes"]) == 12 for policy in policies)
