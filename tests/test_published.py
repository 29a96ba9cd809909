"""Published models and data as a user runs them: from a hub on this machine, through download, probe and figures."""

import json
import re
import shutil
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import yaml

import tiny
from hub_server import Hub, Repo, lima_like, read_folder
from project import ROOT, Project

DREAM = Path(__file__).parent / "data" / "dream-7b-style"
LIMA = sorted(Path(__file__).parents[2].glob("shared/lima/train.jsonl"))  # the real rows, where a checkout has them


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """(project, hub): a Dream checkpoint and a data set in LIMA's layout on the hub, the workflow run once."""
    folder = tmp_path_factory.mktemp("published")
    files = {**read_folder(DREAM / "checkpoint"), "modeling_dream.py": b"raise SystemExit('code ran')"}
    model = Repo("org/dream", "model", files)
    rows = LIMA[0].read_bytes() if LIMA else lima_like()
    with Hub(model, Repo("org/lima", "dataset", {"train.jsonl": rows, "lima.py": b"raise SystemExit('ran')"})) as hub:
        project = Project(folder / "copy")
        project.models = {"dream": {"family": "dream", "repo": "org/dream", "context_length": 4096}}
        project.datasets = {"lima": {"kind": "lima", "repo": "org/lima"}}
        project.config.update(models=["dream"], datasets=["lima"], shard_size=100)
        project.write()
        project.variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
        project.snakemake("--cores", "2", **project.variables)
        yield project, hub, model


def test_from_the_hub_to_the_figures(published):
    project, hub, model = published
    results = project.folder / "results"
    for name in ("top3_dream_lima.png", "frequency_collapse_lima.pdf"):
        assert (results / "figures" / name).stat().st_size > 1000
    assert len(pd.read_parquet(results / "probe/dream/lima.positions.parquet")) == 6 * 8
    provenance = json.loads((results / "probe/dream/lima.provenance.json").read_text())
    assert provenance["model"]["downloaded"] == {"repo": "org/dream", "revision": model.main}
    speed = json.loads((results / "benchmarks/probe/dream/lima.speed.json").read_text())
    assert speed["prompts"] == 6 and speed["tokens_per_second"] > 0 and speed["peak_memory_gb"] > 0
    assert not hub.requests_to(r".*\.py") and hub.requests_to(r"GET .*model-00002-of-00002.safetensors")


def test_jobs_that_compute_stay_off_the_network(published, tmp_path):
    """With the probe's results gone, it is run again without a question to the hub, whatever the hub's state."""
    project, hub, _ = published
    other = project.copy(tmp_path / "copy")
    shutil.rmtree(other.folder / "results/probe")
    before = len(hub.requests)
    other.snakemake("--cores", "2", "results/probe/dream/lima.positions.parquet", **project.variables)
    assert len(hub.requests) == before
    assert other.hashes() == project.hashes()


def test_another_revision_reruns_that_model_only(published):
    project, hub, model = published
    assert project.jobs() == {}
    first = model.main
    changed = read_folder(DREAM / "checkpoint")
    config = {**json.loads(changed["config.json"]), "rms_norm_eps": 1e-5}
    second = model.commit({**changed, "config.json": json.dumps(config).encode()})
    assert project.jobs() == {}  # the hub moved on; nothing asked for it
    project.models["dream"]["revision"] = first
    project.write()
    project.snakemake("--cores", "2", **project.variables)
    probed = project.hashes()
    project.models["dream"]["revision"] = second
    project.write()
    project.snakemake("--cores", "2", **project.variables)
    record = json.loads((project.folder / "results/downloads/models/dream/downloaded.json").read_text())
    assert record["revision"] == second
    moved = {path for path, digest in project.hashes().items() if probed[path] != digest}
    assert "probe/dream/lima.positions.parquet" in moved and "prompts/lima.parquet" not in moved


def test_files_that_disagree_with_their_record(published):
    project, _, _ = published
    path = project.folder / "results/downloads/models/dream/config.json"
    before = path.read_text()
    try:
        path.write_text(before + " ")
        result = project.snakemake("--cores", "1", "--forcerun", "model", check=False, **project.variables)
        assert result.returncode != 0
        assert re.search(r"error: .*config.json: sha256 is .*, downloaded.json says .* for revision", result.stderr)
    finally:
        path.write_text(before)
    project.snakemake("--cores", "1", **project.variables)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The project as it is, to be run with the paper's configuration."""
    return Project(tmp_path_factory.mktemp("paper") / "copy")


def test_the_papers_setting_can_be_planned_offline(paper):
    result = paper.snakemake("--dry-run", config="config/paper.yaml", HF_ENDPOINT="http://127.0.0.1:9")
    assert result.returncode == 0
    for rule in ("download_model", "download_dataset", "probe", "plot_top3", "plot_frequency_collapse"):
        assert re.search(rf"^{rule} +1$", result.stdout + result.stderr, re.M), rule


def test_the_papers_setting_without_access(paper, tmp_path):
    """One line for each thing that is missing: the gated data, and a model that the hub does not have."""
    lima = Repo("GAIR/lima", "dataset", {"train.jsonl": lima_like()}, tokens={"hf_allowed"})
    with Hub(lima) as hub:
        result = paper.snakemake(
            *("--cores", "2"),
            check=False,
            config="config/paper.yaml",
            HF_ENDPOINT=hub.url,
            HF_HOME=str(tmp_path),
            HF_TOKEN="",
        )
    assert result.returncode != 0 and "Traceback" not in result.stderr
    lines = {re.sub(r"^\S+ \S+ ", "", line) for line in result.stderr.splitlines() if " error: " in line}
    assert lines == {
        "error: GAIR/lima is gated: accept its terms at https://huggingface.co/datasets/GAIR/lima, "
        "then log in with `hf auth login` or set HF_TOKEN",
        "error: GSAI-ML/LLaDA-8B-Instruct: no such model on the hub, or a private one "
        "(log in with `hf auth login` or set HF_TOKEN); https://huggingface.co/GSAI-ML/LLaDA-8B-Instruct",
    }


def test_the_documented_row_is_all_it_takes(tmp_path):
    """CONTRIBUTING.md's example: the row is added, only its model's jobs and the figures run, and no code changes."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    example = yaml.safe_load(textwrap.dedent(re.search(r"```yaml\n( *my-.*?) *```", text, re.S).group(1)))
    (name, row), *others = example.items()
    assert not others and row["family"] == "masked_lm"
    project = Project(tmp_path / "copy")
    project.config["models"] = ["one"]
    project.write()
    project.snakemake("--cores", "2")
    tiny.write_transformers(project.folder / row["path"], "bert")
    project.models[name] = row
    project.config["models"] = ["one", name]
    project.write()
    assert project.jobs() == {
        "model": 1,
        "probe": 1,
        "probe_shard": 2,
        "top3_table": 1,
        "plot_top3": 1,
        "frequency_collapse_table": 1,
        "plot_frequency_collapse": 1,
    }
    assert project.shown() == {name}
    made = f"results/probe/{name}/questions.positions.parquet"
    project.snakemake("--cores", "2", made)
    assert len(pd.read_parquet(project.folder / made)) == 6 * 8


@pytest.mark.parametrize(
    ("kind", "family"),
    [("gpt2", "autoregressive"), ("diffusion_gemma", "diffusion_gemma"), ("qwen3", "qwen3_diffusion")],
)
def test_every_corruption_through_the_workflow(tmp_path, kind, family):
    project = Project(tmp_path / "copy")
    tiny.write_transformers(project.folder / "weights/other", kind)
    project.models = {"other": {"family": family, "path": "weights/other"}}
    project.config["models"] = ["other"]
    project.write()
    project.snakemake("--cores", "2", "results/probe/other/questions.positions.parquet")
    table = pd.read_parquet(project.folder / "results/probe/other/questions.positions.parquet")
    assert len(table) == 6 * 8 and table["entropy"].between(0, 4).all()


def test_a_setting_the_family_does_not_have(tmp_path):
    project = Project(tmp_path / "copy")
    project.models["one"]["self_conditioning"] = True
    project.write()
    result = project.snakemake("--dry-run", check=False)
    assert result.returncode != 0
    assert "models.yaml: one.self_conditioning: family llada has no such setting" in result.stdout + result.stderr
