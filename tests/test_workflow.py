"""The workflow as a user runs it: a small run, a second one that does nothing, and what is refused."""

import hashlib
import json
import time

import pandas as pd
import pytest

from project import Project

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
    "benchmarks/probe/one/questions.jsonl",
    "logs/probe/one/questions.log",
    "downloads/models/two/downloaded.json",
]


def test_every_promised_file_is_there(finished):
    for path in EXPECTED:
        assert (finished.folder / "results" / path).stat().st_size > 0, path
    assert not list((finished.folder / "results").rglob("*.shards/*"))
    provenance = json.loads((finished.folder / "results/probe/one/questions.provenance.json").read_text())
    weights = (finished.folder / "weights/one/model.safetensors").read_bytes()
    assert provenance["model"]["sha256"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert provenance["seed"] == 0 and provenance["probe"]["span"] == 8 and "torch" in provenance["versions"]


def test_a_second_run_does_nothing(finished):
    before = finished.hashes()
    start = time.monotonic()
    result = finished.snakemake("--cores", "2")
    print(f"second run: {time.monotonic() - start:.1f} s")
    assert "Nothing to be done" in result.stdout + result.stderr
    assert finished.hashes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ["--config", "models=[three]"],
            "config: models: 'three' is not a row of models.yaml (it has one, two, ",
        ),
        (["--config", "spam=1"], "config: Additional properties are not allowed ('spam' was unexpected)"),
        (["--config", "seed=-1"], "config: seed: -1 is less than the minimum of 0"),
    ],
)
def test_bad_configuration_is_one_line_before_any_work(finished, change, message):
    result = finished.snakemake("--cores", "1", *change, check=False)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_job_that_cannot_run_says_why_and_spoils_no_other(finished, tmp_path):
    """In a copy: Snakemake removes the results of a job before it runs, and remembers its parameters."""
    other = finished.copy(tmp_path / "copy")
    result = other.snakemake("--cores", "1", "--config", "probe={span: 60}", check=False)
    assert result.returncode != 0
    assert "error: prompt questions-00000: 7 tokens and a span of 60 exceed the model's context of 64" in result.stderr
    assert "Traceback" not in (other.folder / "results/logs/probe/one/questions.log").read_text()
    kept = {path: sha for path, sha in finished.hashes().items() if not path.startswith("probe/")}
    assert other.hashes() == kept


def test_wrong_hash_in_a_row(finished, tmp_path):
    """In a copy: the failed job's old result is gone."""
    other = finished.copy(tmp_path / "copy")
    other.models["one"]["sha256"] = {"model.safetensors": "0" * 64}
    other.write()
    result = other.snakemake("--cores", "1", check=False)
    assert result.returncode != 0 and "the model's row says 0000" in result.stderr


@pytest.mark.slow
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
