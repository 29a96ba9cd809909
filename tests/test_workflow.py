"""The workflow as a user runs it: a small run, a second one that does nothing, and what an edit reruns."""

import hashlib
import json
import os
import time

import pandas as pd
import pytest

import tiny
from project import Project

TABLE_AND_FIGURES = {"top3_table", "frequency_collapse_table", "plot_top3", "plot_frequency_collapse"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("workflow") / "copy")
    made.snakemake("--cores", "2")
    return made


EXPECTED = [
    "prompts/questions.parquet",
    "models/one/provenance.json",
    "models/one/model.safetensors",
    "probe/one/questions.positions.parquet",
    "probe/two/questions.tokens.parquet",
    "probe/two/questions.provenance.json",
    "tables/top3_one_questions.csv",
    "tables/frequency_collapse_questions.csv",
    "figures/top3_two_questions.pdf",
    "figures/frequency_collapse_questions.png",
    "benchmarks/probe/one/questions.0.jsonl",
    "logs/probe/one/questions.1.log",
]


def test_every_promised_file_is_there(project):
    for path in EXPECTED:
        assert (project.folder / "results" / path).stat().st_size > 0, path
    assert not list((project.folder / "results").rglob("*.npz"))
    provenance = json.loads((project.folder / "results/probe/one/questions.provenance.json").read_text())
    weights = (project.folder / "weights/one/model.safetensors").read_bytes()
    assert provenance["model"]["sha256"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert provenance["seed"] == 0 and provenance["probe"]["span"] == 8 and "torch" in provenance["versions"]


def test_a_second_run_does_nothing(project):
    before = project.hashes()
    start = time.monotonic()
    result = project.snakemake("--cores", "2")
    print(f"second run: {time.monotonic() - start:.1f} s")
    assert "Nothing to be done" in result.stdout + result.stderr
    assert project.hashes() == before


def test_touched_files_rerun_nothing(project):
    for path in project.folder.rglob("*"):
        if path.is_file() and "results" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    assert project.jobs() == {}


def test_one_models_row_reruns_that_model(project):
    project.models["two"]["context_length"] = 60
    project.write()
    try:
        assert project.jobs() == {
            "probe": 2,
            "merge_probe": 1,
            "top3_table": 1,
            "plot_top3": 1,
            "frequency_collapse_table": 1,
            "plot_frequency_collapse": 1,
        }
        assert project.shown() == {"two"}
    finally:
        del project.models["two"]["context_length"]
        project.write()
    assert project.jobs() == {}


def test_a_note_in_a_row_reruns_nothing(project):
    project.models["two"]["licence"] = "MIT"
    project.write()
    try:
        assert project.jobs() == {}
    finally:
        del project.models["two"]["licence"]
        project.write()


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("workflow_scripts/discreteness/collapse.py", TABLE_AND_FIGURES),
        (
            "workflow_scripts/discreteness/statistics.py",
            {"frequency_collapse_table", "plot_frequency_collapse"} | TABLE_AND_FIGURES,
        ),
        ("workflow_scripts/discreteness/denoisers/llada.py", {"probe", "merge_probe"} | TABLE_AND_FIGURES),
        ("workflow_scripts/discreteness/figures/top3.py", {"plot_top3"}),
        ("workflow_scripts/plot_frequency_collapse.py", {"plot_frequency_collapse"}),
        ("matplotlibrc", {"plot_top3", "plot_frequency_collapse"}),
    ],
)
def test_an_edited_module_reruns_the_rules_that_use_it(project, path, rules):
    with project.edit(path):
        assert set(project.jobs()) == rules
    assert project.jobs() == {}


def test_new_weights_in_place_are_noticed(project):
    weights = project.folder / "weights/two/model.safetensors"
    before = weights.read_bytes()
    try:
        tiny.write(weights.parent, seed=7)
        jobs = project.jobs()
        assert jobs["model"] == 1 and project.shown() == {"two"}
    finally:
        weights.write_bytes(before)
    assert project.jobs() == {}


def test_results_do_not_depend_on_cores(project, tmp_path):
    other = Project(tmp_path / "copy")
    other.snakemake("--cores", "1")
    assert other.hashes() == project.hashes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--config", "models=[three]"], "config: models: 'three' is not a row of models.yaml (it has one, two)"),
        (["--config", "spam=1"], "config: Additional properties are not allowed ('spam' was unexpected)"),
        (["--config", "seed=-1"], "config: seed: -1 is less than the minimum of 0"),
    ],
)
def test_bad_configuration_is_one_line_before_any_work(project, change, message):
    result = project.snakemake("--cores", "1", *change, check=False)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_job_that_cannot_run_says_why_and_spoils_nothing(project):
    before = project.hashes()
    result = project.snakemake("--cores", "1", "--config", "probe={span: 60}", check=False)
    assert result.returncode != 0
    assert "error: prompt questions-00000: 7 tokens and a span of 60 exceed the model's context of 64" in result.stderr
    assert "Traceback" not in (project.folder / "results/logs/probe/one/questions.0.log").read_text()
    assert project.hashes() == before


def test_wrong_hash_in_a_row(project):
    project.models["two"]["sha256"] = {"model.safetensors": "0" * 64}
    project.write()
    try:
        result = project.snakemake("--cores", "1", check=False)
        assert result.returncode != 0 and "the model's row says 0000" in result.stderr
    finally:
        del project.models["two"]["sha256"]
        project.write()


def test_a_small_model_is_trained_and_probed_inside_a_run(tmp_path):
    """The documented command for `docs-mini`, with fewer prompts; then nothing is left to do."""
    mini = Project(tmp_path / "copy")
    nothing_else = "decode: {decoders: []}\ncurve: {prompts: 0}\nlanguage: {models: [], toys: []}\n"
    settings = f"threads: 2\nprobe: {{prompts: 20}}\n{nothing_else}"
    (mini.folder / "config.yaml").write_text(settings)
    chosen = ["--config", "models=[docs-mini]"]
    mini.snakemake("--cores", "2", *chosen)
    record = json.loads((mini.folder / "results/training/docs-mini/training.json").read_text())
    assert record["steps"] == len(record["losses"]) and record["losses"][-1] < record["losses"][0] - 0.5
    provenance = json.loads((mini.folder / "results/models/docs-mini/provenance.json").read_text())
    assert provenance["training"]["steps"] == record["steps"] and "losses" not in provenance["training"]
    table = pd.read_csv(mini.folder / "results/tables/frequency_collapse_docs.csv")
    entropy = table[(table["statistic"] == "entropy") & (table["variant"] == "all")]
    assert len(entropy) == 128 and (entropy["prompts"] == 20).all()
    assert mini.jobs(*chosen) == {}
    assert "train_model" not in mini.jobs("--config", "models=[docs-mini]", "datasets=[docs,toy]")
