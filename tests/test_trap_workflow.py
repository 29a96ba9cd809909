"""The marginal trap through the workflow: every table and figure, a new decoder, a policy of one's own."""

import re
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

from project import ROOT


def test_tables_and_figures(finished):
    results = finished.folder / "results"
    for name in ("marginal_trap_toy", "marginal_trap_steps", "incoherence_questions"):
        for kind in ("pdf", "png"):
            assert (results / "figures" / f"{name}.{kind}").stat().st_size > 1000
    steps = pd.read_csv(results / "tables/marginal_trap_steps.csv")
    random = steps[steps["decoder"] == "random"]
    invalid = random[random["statistic"] == "invalid"].set_index("steps")["value"]
    assert invalid[1] > 0.9 and invalid[12] == 0
    assert (steps[steps["decoder"] == "optimal"]["statistic"] == "invalid").any()
    found = pd.read_csv(results / "tables/incoherence_questions.csv")
    statistics = {"regret", "disowned", "adjacent_duplicates", "seq_rep_4", "distinct_2", "perplexity", "judge_entropy"}
    assert statistics | {"empty", "unfinished"} <= set(found["statistic"])
    assert set(found["steps"]) == {1, 8} and set(found["decoder"]) == {"random"}
    worst = pd.read_csv(results / "tables/worst_combinations_questions.csv")
    assert (worst["step_size"] > 1).all() and worst["text"].str.contains(r"\[\[", regex=True).all()


def test_tables_of_the_information_curve(finished):
    tables = finished.folder / "results/tables"
    price = pd.read_csv(tables / "price_of_parallelism_grammar.csv")
    uniform = price[price["schedule"] == "uniform"].set_index(["statistic", "steps"])["value"]
    assert uniform["exact", 12] == pytest.approx(0, abs=1e-9) and uniform["price", 1] > 5
    text = pd.read_csv(tables / "price_of_parallelism_questions.csv")
    assert {"price", "relative", "bound", "regret_expected", "regret", "perplexity"} == set(text["statistic"])
    assert set(text.loc[text["statistic"] == "price", "padding"]) == {False, True}
    decay = pd.read_csv(tables / "information_decay_questions.csv")
    assert {"position", "distance_to_visible", "mask_ratio", "token_class", "spread"} <= set(decay["view"])
    smooth = pd.read_csv(tables / "smooth_corruption.csv")
    assert set(smooth["source"]) == {"grammar", "one", "two"}
    command = [
        sys.executable,
        "-m",
        "discreteness.curves.price",
        "results/curves/one/questions.parquet",
        "--steps",
        "4",
    ]
    said = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(r"at 4 steps you lose .* nats per answer", said)) == said.count("these step sizes lose") == 2


def test_a_decoder_added_and_changed(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.config["decode"]["decoders"] = ["random", "bound"]
    project.write()
    project.snakemake("--cores", "2", "results/tables/incoherence_questions.csv")
    table = pd.read_csv(project.folder / "results/tables/incoherence_questions.csv")
    assert set(table["decoder"]) == {"random", "bound"}
    project.decoders["bound"]["gamma"] = 0.5
    project.write()
    assert project.jobs("results/tables/incoherence_questions.csv") == {
        "decode": 2,
        "rescore": 2,
        "judge": 2,
        "incoherence_table": 1,
    }


def test_a_policy_of_ones_own(finished, tmp_path):
    """CONTRIBUTING.md's example: one function, one row."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = textwrap.dedent(re.search(r"```python\n( *@policy.*?) *```", text, re.S).group(1))
    name = re.search(r'@policy\("(\w+)"', code).group(1)
    mine = finished.copy(tmp_path / "copy")
    with (mine.folder / "workflow_scripts/discreteness/decoding/policies.py").open("a") as file:
        file.write("\n\n" + code)
    mine.decoders["mine"] = {"order": name, "forbid": ["mask"]}
    mine.config["decode"]["decoders"] = ["mine"]
    mine.write()
    mine.snakemake("--cores", "2", "results/decodings/one/questions/mine.parquet")
    answers = pd.read_parquet(mine.folder / "results/decodings/one/questions/mine.parquet")
    assert set(answers["steps"]) == {1, 8} and len(answers) == 2 * 6


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"order": "lucky"}, "decoders: bad.order: 'lucky' is unknown"),
        ({"order": "random", "block_length": 3}, "decoders: bad.block_length: 3 does not divide the span of 8"),
    ],
)
def test_a_bad_row_is_one_line_before_any_work(finished, row, message):
    with finished.changed():
        finished.decoders["bad"] = row
        finished.config["decode"]["decoders"] = ["bad"]
        finished.write()
        result = finished.snakemake("--cores", "1", check=False)
        assert result.returncode != 0 and message in result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
