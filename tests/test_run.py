"""What follows from a configuration and its rows for every rule: figures, parameters, shards, resources, sources."""

import ast
import inspect
import json
from types import SimpleNamespace

import pytest
import snakemake.cli  # noqa: F401 (its modules can only be imported in this order)
import snakemake.workflow
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from discreteness.workflow import sources
from discreteness.workflow.configuration import load_run
from discreteness.workflow.figures import FIGURES, figure_files
from discreteness.workflow.resources import JobResources, doubling
from discreteness.workflow.shards import Shards, shards_record
from discreteness.workflow.yaml_files import read_yaml
from project import ROOT

CONFIG = read_yaml(ROOT / "config/config.yaml")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def run(models=None, **changes):
    """The default run with changed settings; mappings are merged; rows of `models` are added to it."""
    merged = {key: {**CONFIG[key], **value} if isinstance(value, dict) else value for key, value in changes.items()}
    made = load_run({**CONFIG, **merged})
    for name, row in (models or {}).items():
        made.models[name] = made.models["docs-base"].model_validate(row)
    return made


def names(made) -> set[str]:
    return {path.removeprefix("results/figures/").removesuffix(".png") for path in figure_files(made) if "png" in path}


# ---- figures

TEXT = {"top3_docs-base_docs", "frequency_collapse_docs"}
CURVES = {"information_decay_docs", "price_of_parallelism_docs", "smooth_corruption"}
LANGUAGE = {"marginal_trap_steps", "price_of_parallelism_grammar", "smooth_corruption"}


def test_the_default_run_has_every_figure():
    assert names(run()) == TEXT | CURVES | LANGUAGE | {"incoherence_docs", "marginal_trap_toy"}
    assert {figure.name for figure in FIGURES} == {path.stem for path in (ROOT / "report/captions").iterdir()}
    for figure in FIGURES:
        assert (ROOT / f"workflow_scripts/discreteness/figures/{figure.name}.py").is_file()


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"curve": {"prompts": 0}}, {"information_decay_docs", "price_of_parallelism_docs"}),
        ({"decode": {"decoders": []}}, {"incoherence_docs"}),
        ({"language": {"models": []}}, {"marginal_trap_steps", "price_of_parallelism_grammar"}),
        ({"language": {"decoders": []}}, {"marginal_trap_steps"}),
        ({"language": {"toys": []}}, {"marginal_trap_toy"}),
        ({"language": {"models": []}, "curve": {"prompts": 0}}, CURVES | LANGUAGE),
    ],
)
def test_a_figure_goes_with_what_it_shows(changes, lost):
    assert names(run()) - names(run(**changes)) == lost


def test_a_language_among_the_data_sets_has_no_figure_of_text():
    both = names(run(datasets=["docs", "grammar"]))
    assert both - names(run()) == {"top3_docs-base_grammar", "frequency_collapse_grammar"}


def test_what_a_figure_is_told_of_the_models():
    made = run(models={"judge": {"family": "autoregressive", "path": "config"}})
    made.settings.models.append("judge")
    told = {figure.name: figure.settings(made, SimpleNamespace(model="judge", dataset="docs")) for figure in FIGURES}
    assert told["top3"] == {"corruption": "causal"}
    assert told["frequency_collapse"] == {"corruption": {"docs-base": "mask", "judge": "causal"}}
    assert made.masked_models == ["docs-base"] and not told["incoherence"]


# ---- parameters


def test_a_default_written_out_is_no_change():
    row = {"family": "llada", "path": "config"}
    written = {"dtype": "float32", "gpus": 1, "canvases": None}
    made = run(models={"a": row, "b": {**row, "dtype": "float32", "gpus": 1}, "c": {**row, "dtype": "bfloat16"}})
    assert made.loading("a") == made.loading("b") == {"family": "llada"} and written
    assert made.loading("c") == {"family": "llada", "dtype": "bfloat16"}


def test_text_and_languages_are_decoded_with_their_own_settings():
    made = run()
    decode, language = made.settings.decode, made.settings.language
    assert made.decoding("docs") == {
        "steps": decode.steps,
        "prompts": 12,
        "samples": 1,
        "span": 128,
        "temperatures": [],
        "example": 463,
    }
    assert made.decoding("grammar") == {
        "steps": language.steps,
        "temperatures": [1.0, 0.5],
        "samples": 400,
        "prompts": 1,
        "span": None,
        "example": 0,
    }
    assert made.curve("grammar") == {"prompts": 96, "modes": ["padded"], "span": 12, "example": 0}
    assert made.curve("docs")["prompts"] == 100 and run(curve={"prompts": 0}).curve("docs")["prompts"] == 1
    assert made.toys == {"toy": ["toy-oracle", "toy-micro"], "abab": ["abab-oracle", "abab-micro"]}
    assert made.oracles("grammar") == ["grammar-oracle"] and made.oracles("docs") == []
    assert not made.needs_recomputing("reference") and made.forbidden("reference") == []
    assert made.forbidden("random") == ["mask"]


# ---- shards


def test_shards_cover_all_prompts_and_stay_as_they_were(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    made, names = run(shard_size=30), {"model": "docs-base", "dataset": "docs"}
    shards = Shards(made, submits=True)
    assert shards.files("probe", "{model}/{shard}")(names) == [f"docs-base/{number}" for number in range(4)]
    assert shards.shard("probe")(names) is None
    assert shards.shard("probe")({**names, "shard": "3"}) == {"number": 3, "size": 30}
    assert Shards(run(shard_size=100), submits=True).files("probe", "{shard}")(names) == []  # one job does it all
    shards.record()
    record = shards_record("results/probe/docs-base/docs.positions.parquet")
    assert json.loads(record.read_text()) == {"size": 30, "prompts": 100}
    smaller = run(shard_size=7)
    assert Shards(smaller, submits=True).size("probe", names) == 7  # no result yet
    assert Shards(smaller, submits=False).size("probe", names) == 30  # a job goes by what was noted
    record.with_name("docs.positions.parquet").touch()
    assert Shards(smaller, submits=True).size("probe", names) == 30  # the result stays as it was
    fewer = run(shard_size=7, probe={"prompts": 50})
    assert Shards(fewer, submits=True).size("probe", names) == 7  # of another number of prompts


def test_answers_of_a_language_are_not_shared_out():
    names = {"model": "grammar-oracle", "dataset": "grammar", "decoder": "random"}
    assert Shards(run(shard_size=1), submits=True).files("decode", "{shard}")(names) == []


def test_the_judges_size_counts_where_it_judges():
    large = {"judge": {"family": "autoregressive", "repo": "a/b", "size_gb": 1000.0}}
    made = run(models=large, device="cpu")
    made.models["docs-judge"] = made.models["judge"]
    names = {"model": "docs-base", "dataset": "docs", "decoder": "random"}
    assert Shards(made, submits=True).size("judge", names) < Shards(made, submits=True).size("rescore", names)


# ---- resources


@pytest.mark.parametrize(
    ("device", "on_cluster", "here", "gpus"),
    [
        ("auto", False, False, 0),
        ("auto", False, True, 2),
        ("auto", True, False, 2),
        ("cuda:1", False, False, 2),
        ("cpu", True, True, 0),
        ("mps", False, True, 0),
    ],
)
def test_gpus(monkeypatch, device, on_cluster, here, gpus):
    monkeypatch.setattr("discreteness.workflow.resources.has_gpu", lambda: here)
    made = run(device=device, models={"large": {"family": "llada", "repo": "a/b", "gpus": 2}})
    gpu = JobResources(made, on_cluster).gpus()
    wildcards = SimpleNamespace(model="large")
    assert gpu(wildcards, {}) == gpus and gpu(wildcards, {"parts": ["a"]}) == 0
    made.models["large"] = made.models["large"].model_copy(update={"gpus": 0})
    assert gpu(wildcards, {}) == 0


def test_memory_and_time_follow_from_the_size_and_double():
    made = run(models={"large": {"family": "llada", "repo": "a/b", "size_gb": 16.0}})
    needs, wildcards = JobResources(made, False), SimpleNamespace(model="large")
    assert [needs.memory()(wildcards, attempt) for attempt in (1, 2)] == [36_000, 72_000]
    assert [needs.runtime(240)(wildcards, attempt) for attempt in (1, 2)] == [480, 960]
    assert needs.runtime(10)(wildcards, 1) == 2 * 2 * made.settings.job_minutes
    assert needs.memory("large")(SimpleNamespace(model="docs-base"), 1) == 36_000
    assert [doubling(30)(None, attempt) for attempt in (1, 2, 3)] == [30, 60, 120]


def test_the_cluster_profile_sends_jobs_to_the_partition_that_fits(monkeypatch):
    """By the Slurm plugin's own choice, from the file that the profile names."""
    profile = read_yaml(ROOT / "profiles/slurm/config.yaml")
    partitions = read_partition_file(ROOT / profile["slurm-partition-config"])
    logger = SimpleNamespace(debug=print, info=print, warning=print)
    for gpus, name in ((0, "cpu"), (1, "gpu"), (8, "gpu")):
        job = SimpleNamespace(name="probe", threads=1, resources={"gpu": gpus, "mem_mb": 4000, "runtime": 60})
        assert get_best_partition(partitions, job, logger) == name


# ---- sources


def test_where_a_models_files_come_from():
    made = run(
        models={
            "path": {"family": "llada", "path": "checkpoints/docs-base", "repo": "a/b"},
            "repo": {"family": "llada", "repo": "a/b"},
            "exact": {"family": "oracle", "language": "toy"},
        }
    )
    assert sources.checkpoint_source(made, "path") == "checkpoints/docs-base"
    assert sources.checkpoint_source(made, "repo") == "results/downloads/models/repo"
    assert sources.checkpoint_source(made, "docs-judge") == "results/training/docs-judge"
    assert sources.checkpoint_source(made, "exact") is None and sources.checkpoint_files(made, "exact") == []
    assert sources.checkpoint_files(made, "repo") == ["results/downloads/models/repo/downloaded.json"]
    assert sources.checkpoint_files(made, "docs-judge") == ["results/training/docs-judge/training.json"]
    files = sources.checkpoint_files(made, "path")
    assert "checkpoints/docs-base/model.safetensors" in files and sources.checkpoint_content(made, "path").keys() == {
        *files
    }
    assert sources.checkpoint_content(made, "repo") is None


def test_a_pinned_commit_that_is_there_asks_for_nothing_new(tmp_path):
    record, old = tmp_path / "downloaded.json", "a" * 40
    row = run(models={"a": {"family": "llada", "repo": "a/b"}}).models["a"]
    pinned = row.model_copy(update={"revision": old})
    assert sources.download_request(pinned, record) == {"repo": "a/b", "revision": old}
    record.write_text(json.dumps({"repo": "a/b", "revision": old, "asked": {"repo": "a/b"}}))
    assert sources.download_request(pinned, record) == sources.download_request(row, record) == {"repo": "a/b"}
    other = row.model_copy(update={"revision": "b" * 40})
    assert sources.download_request(other, record) == {"repo": "a/b", "revision": "b" * 40}


def test_a_data_sets_row_without_what_is_only_read_later(tmp_path):
    made = run()
    assert sources.dataset_row(made, "docs") == {"kind": "docs", "split": "heldout"}
    assert sources.dataset_files(made, "docs") == [] and sources.dataset_content(made, "docs") is None
    made.datasets["lima"] = made.datasets["docs"].model_validate({"kind": "lima", "repo": "a/b", "licence": "x"})
    file = "results/downloads/datasets/lima/train.jsonl"
    assert sources.dataset_row(made, "lima") == {"kind": "lima", "repo": "a/b", "path": file, "empty_prompts": "refuse"}
    assert sources.dataset_files(made, "lima") == ["results/downloads/datasets/lima/downloaded.json"]


# ---- Snakemake


def test_what_the_rules_take_from_snakemake_beyond_its_documentation():
    """Attributes without a promise; an update that renames one is seen here first."""
    for name in ("is_main_process", "non_local_exec", "remote_exec"):
        assert isinstance(getattr(snakemake.workflow.Workflow, name), property), name
    assert "resource_settings" in snakemake.workflow.Workflow.__dataclass_fields__
    assert "self.configfiles = " in inspect.getsource(snakemake.workflow.Workflow)
    text = (ROOT / "Snakefile").read_text() + "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert "._" not in text.replace("..._", "")


def test_no_name_of_the_rules_hides_one_of_snakemakes_own():
    """Rules run among the names of `snakemake.workflow`."""
    text = (ROOT / "rules/common.smk").read_text()
    tree = ast.parse(text[: text.index("wildcard_constraints:")])
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    bound = {alias.asname or alias.name for node in imports for alias in node.names}
    bound |= {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    bound |= {"settings", "by", "code"}
    assert {name for name in bound if hasattr(snakemake.workflow, name)} <= {"Path", "partial"}
