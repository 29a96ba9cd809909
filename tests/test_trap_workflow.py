"""The marginal trap through the workflow: every table and figure, and what a new decoder reruns."""

import re
import shutil
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

import tiny
from project import ROOT, Project


def test_tables_and_figures(project):
    results = project.folder / "results"
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
    assert project.jobs() == {}


def test_tables_of_the_information_curve(project):
    tables = project.folder / "results/tables"
    price = pd.read_csv(tables / "price_of_parallelism_grammar.csv")
    uniform = price[price["schedule"] == "uniform"].set_index(["statistic", "steps"])["value"]
    assert uniform["exact", 12] == pytest.approx(0, abs=1e-9) and uniform["price", 1] > 5
    text = pd.read_csv(tables / "price_of_parallelism_questions.csv")
    assert {"price", "relative", "bound", "regret_expected", "regret", "perplexity"} == set(text["statistic"])
    assert set(text.loc[text["statistic"] == "price", "padding"]) == {False, True}
    decay = pd.read_csv(tables / "information_decay_questions.csv")
    assert {"position", "distance_to_visible", "mask_ratio", "token_class", "spread"} <= set(decay["view"])
    smooth = pd.read_csv(tables / "smooth_corruption.csv")
    assert set(smooth["source"]) == {"grammar", "one"}
    command = [
        sys.executable,
        "-m",
        "discreteness.curves.price",
        "results/curves/one/questions.parquet",
        "--steps",
        "4",
    ]
    said = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(r"at 4 steps you lose .* nats per answer", said)) == said.count("these step sizes lose") == 2


def test_one_new_decoder_runs_only_its_jobs_and_the_figures(project):
    project.config["decode"]["decoders"] = ["random", "bound"]
    project.write()
    assert project.jobs() == {
        "decode": 1,
        "rescore": 1,
        "judge": 1,
        "incoherence_table": 1,
        "plot_incoherence": 1,
        "price_of_parallelism_table": 1,
        "plot_price_of_parallelism": 1,
    }
    project.snakemake("--cores", "2")
    table = pd.read_csv(project.folder / "results/tables/incoherence_questions.csv")
    assert set(table["decoder"]) == {"random", "bound"}
    project.decoders["bound"]["gamma"] = 0.5
    project.write()
    assert project.jobs()["decode"] == 1


def test_the_same_rows_whatever_the_shards(project):
    """Shards of three, three and none of the six prompts."""
    files = [
        "curves/one/questions.parquet",
        "curves/one/questions.salience.parquet",
        "decodings/one/questions/random.parquet",
        "coherence/one/questions/random.rescored.parquet",
    ]
    paths = [project.folder / "results" / name for name in files]
    worst = paths[3].with_name("random.worst.csv")
    before, listed = [pd.read_parquet(path) for path in paths], pd.read_csv(worst)
    targets = [f"results/{name}" for name in files]
    project.snakemake("--cores", "2", *targets, "--config", "shard_size=3")
    for path, whole in zip(paths, before, strict=True):
        joined = pd.read_parquet(path)
        assert not (path.parent / f"{path.name.split('.')[0]}.shards").exists()
        keys = [
            name
            for name in ("prompt_id", "padding", "steps", "sample", "replicate", "visible", "position")
            if name in whole
        ]
        joined, whole = (frame.sort_values(keys, ignore_index=True) for frame in (joined, whole))
        pd.testing.assert_frame_equal(joined, whole, rtol=0, atol=1e-5)
    pd.testing.assert_frame_equal(pd.read_csv(worst), listed, rtol=0, atol=1e-5)


def test_a_policy_of_ones_own(project, tmp_path):
    """CONTRIBUTING.md's example: one function, one row."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = textwrap.dedent(re.search(r"```python\n( *@policy.*?) *```", text, re.S).group(1))
    name = re.search(r'@policy\("(\w+)"', code).group(1)
    copy = tmp_path / "copy"
    shutil.copytree(project.folder, copy, symlinks=True)
    mine = Project.__new__(Project)
    mine.__dict__.update(project.__dict__, folder=copy)
    with (copy / "workflow_scripts/discreteness/decoding/policies.py").open("a") as file:
        file.write("\n\n" + code)
    mine.decoders = {**project.decoders, "mine": {"order": name, "forbid": ["mask"]}}
    mine.config = {**project.config, "decode": {**project.config["decode"], "decoders": ["mine"]}}
    mine.write()
    mine.snakemake("--cores", "2", "results/decodings/one/questions/mine.parquet")
    answers = pd.read_parquet(copy / "results/decodings/one/questions/mine.parquet")
    assert set(answers["steps"]) == {1, 8} and len(answers) == 2 * 6


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"order": "lucky"}, "decoders: bad.order: 'lucky' is unknown"),
        ({"order": "random", "block_length": 3}, "decoders: bad.block_length: 3 does not divide the span of 8"),
    ],
)
def test_a_bad_row_is_one_line_before_any_work(project, row, message):
    decoders, config = project.decoders, project.config
    try:
        project.decoders = {**decoders, "bad": row}
        project.config = {**config, "decode": {**config["decode"], "decoders": ["bad"]}}
        project.write()
        result = project.snakemake("--cores", "1", check=False)
        assert result.returncode != 0 and message in result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
    finally:
        project.decoders, project.config = decoders, config
        project.write()
