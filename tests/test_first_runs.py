"""What a first user meets in a run: errors said last, options on the command line, own policies, free hints."""

import json
import os
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

import tiny
from discreteness.coherence.rescoring import rescore
from discreteness.core.errors import InputError
from discreteness.core.io import read_table
from discreteness.denoisers import load_denoiser
from discreteness.workflow.failures import failures, last_error, summary
from project import QUESTIONS, Project

POLICIES = '''

@policy("quick", schedule="finish")
def quick(view: View):
    """Half of what is left, whatever it is: an adaptive policy of one's own."""
    return view.confidence, (view.candidates.sum(-1) + 1) // 2


@policy("undo", schedule="finish", revises=True, adaptive=False)
def undo(view: View):
    """The leftmost token becomes a mask again after the second step: a policy of one's own that revises."""
    first = torch.where(view.revealed, view.positions, 10**6).argmin(-1, keepdim=True)
    again = torch.zeros_like(view.revealed).scatter(-1, first, True)
    return view.confidence, None, again & view.revealed & (view.step == 1)[:, None]
'''
DECODED = "results/decodings/one/questions/{}.parquet"
RESCORED = "results/coherence/one/questions/{}.rescored.parquet"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A finished run of one model with two decoders of own policies."""
    made = Project(tmp_path_factory.mktemp("first") / "copy")
    path = made.folder / "workflow_scripts/discreteness/decoding/policies.py"
    path.write_text(path.read_text() + POLICIES)
    made.models = {"one": made.models["one"]}
    made.decoders = {
        "quick": {"order": "quick", "forbid": ["mask", "eos"]},
        "undo": {"order": "undo", "steps": 4, "temperature": 1.0, "forbid": ["mask", "eos"]},
    }
    made.config.update(models=["one"], shard_size="auto")
    made.config["decode"] = {"decoders": ["quick", "undo"], "steps": [8], "span": 8, "judge": None, "rescored": 8}
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    made.snakemake("--cores", "2", "results/figures/top3_one_questions.png", "results/tables/incoherence_questions.csv")
    return made


TARGETS = ("results/figures/top3_one_questions.png", "results/tables/incoherence_questions.csv")


# ---- own policies


def test_an_adaptive_policy_of_ones_own_is_shown_at_the_passes_it_took(project):
    """8 tokens in halves: 4, 2, 1, 1, so 4 passes where up to 8 were asked for."""
    assert set(read_table(project.folder / DECODED.format("quick"))["forward_passes"]) == {4}
    table = pd.read_csv(project.folder / "results/tables/incoherence_questions.csv")
    assert set(table.loc[table["decoder"] == "quick", "steps"]) == {4}
    assert set(table.loc[table["decoder"] == "undo", "steps"]) == {4}


def test_a_revising_policy_of_ones_own_has_its_states_recomputed(project):
    answers = read_table(project.folder / DECODED.format("undo"))
    denoiser = load_denoiser({"family": "llada", "path": project.folder / "weights/one"}, "cpu")
    asked = read_table(project.folder / "results/prompts/questions.parquet").set_index("prompt_id")["prompt"]
    prompts = {prompt_id: denoiser.encode_prompt(prompt) for prompt_id, prompt in asked.items()}
    forbidden = [denoiser.mask_id, *denoiser.eos_ids]
    found = read_table(project.folder / RESCORED.format("undo"))
    for recompute, same in ((True, True), (False, False)):
        given = {"batch_tokens": 4096, "rescored": 8, "seed": 0, "recompute": recompute, "forbidden": forbidden}
        expected = rescore(denoiser, answers, prompts, **given)["regret"].to_numpy()
        assert (abs(found["regret"].to_numpy() - expected).max() < 1e-4) == same


# ---- what cannot change a number reruns nothing


@pytest.mark.parametrize(
    ("keys", "settings"),
    [
        ({"size_gb": 16}, {}),
        ({"size_gb": 0.0001}, {}),
        ({"tokens_per_second": 1}, {}),
        ({"gpus": 0}, {}),
        ({"licence": "MIT"}, {}),
        ({}, {"job_minutes": 0.001}),
        ({}, {"shard_size": 2}),
        ({}, {"device": "cpu"}),
    ],
)
def test_hints_of_size_and_place_rerun_nothing(project, keys, settings):
    with project.changed():
        project.models["one"].update(keys)
        project.config.update(settings)
        project.write()
        assert project.jobs(*TARGETS) == {}


def test_shards_that_come_out_the_same_are_the_same(tmp_path):
    """Nothing is kept of another number of prompts or of a damaged record."""
    from discreteness.workflow.shards import kept_shard_size, record_shards

    result = tmp_path / "a.parquet"
    assert kept_shard_size(result, 6) is None
    record_shards(result, 4, 6)
    assert kept_shard_size(result, 6) == 4 and kept_shard_size(result, 7) is None
    for damaged in ("{", "[]", "{}", '{"size": 3}'):
        (tmp_path / "a.shards.json").write_text(damaged)
        assert kept_shard_size(result, 6) is None
        record_shards(result, 6, 6)
        assert kept_shard_size(result, 6) == 6


def test_a_job_elsewhere_goes_by_what_the_run_noted(project, tmp_path):
    """A second try on a cluster's node, whose first removed the result: all prompts, though settings say otherwise."""
    other = project.copy(tmp_path / "copy")
    path = DECODED.format("quick")
    (other.folder / path).unlink()
    note = other.folder / path.replace(".parquet", ".shards.json")
    assert json.loads(note.read_text()) == {"size": 12, "prompts": 12}
    other.config["shard_size"] = 2
    other.write()
    target = "decode:model=one,dataset=questions,decoder=quick"
    node = ("--mode", "remote", "--target-jobs", target, "--allowed-rules", "decode", "--cores", "1", "--nolock")
    other.snakemake(*node, "--local-groupid", "0", "--attempt", "2")
    assert read_table(other.folder / path)["prompt_id"].nunique() == 6


def test_no_curve_shown_but_one_needed(project):
    """`optimal` measures a curve of its own accord."""
    with project.changed():
        project.decoders["optimal"] = {"order": "random", "step_sizes": "optimal", "forbid": ["mask"]}
        project.config["curve"] = {"prompts": 0, "span": 8}
        project.config["decode"]["decoders"] = ["optimal"]
        project.write()
        assert project.jobs("results/tables/incoherence_questions.csv")["information_curve"] == 1


def test_what_says_how_a_model_is_spelt_reruns_it(project):
    """Every file that a job reads is an input: template, tokenizer, settings."""
    folder = project.folder / "weights/one"
    for name in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json", "config.json"):
        before = (folder / name).read_text()
        (folder / name).write_text(before + "\n")
        try:
            assert project.jobs(*TARGETS).get("probe") == 1, name
        finally:
            (folder / name).write_text(before)
    (folder / "vocab.txt").write_text("the")
    assert project.jobs(*TARGETS).get("probe") == 1
    (folder / "vocab.txt").unlink()
    assert project.jobs(*TARGETS) == {}


# ---- the command line


def test_lists_and_null_on_the_command_line(project):
    given = "decode={steps: [1, 4], judge: null, decoders: [quick]}"
    assert project.jobs("--config", given, "--", "results/tables/incoherence_questions.csv")["decode"] == 2


def refused(project, *arguments: str, **variables) -> str:
    """The last line of a command that ends at once, and with little else."""
    result = project.snakemake(*arguments, check=False, **variables)
    lines = (result.stdout + result.stderr).strip().splitlines()
    assert result.returncode == 1 and len(lines) <= 4, lines
    return lines[-1]


def test_a_configuration_error_is_the_last_line_and_nearly_the_only_one(project):
    with project.changed():
        project.config["probe"]["spam"] = 1
        project.write()
        line = (
            "error: config: probe: Additional properties are not allowed ('spam' was unexpected); did you mean 'span'?"
        )
        assert refused(project, "--dry-run") == line
    with project.changed():
        (project.folder / "config.yaml").write_text("seed: 1\nseed: 2\n")
        assert "line 2: 'seed' is there twice" in refused(project, "--dry-run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_any_job(project):
    assert "device: cuda: this machine has no such GPU" in refused(project, "--dry-run", "--config", "device=cuda")


def test_run_from_elsewhere_is_refused_plainly(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert "the workflow runs in its own folder" in refused(
        project,
        "-s",
        "Snakefile",
        "--directory",
        str(tmp_path / "elsewhere"),
        config=str(project.folder / "config.yaml"),
    )


def test_as_a_module_of_another_workflow_is_refused_plainly(project, tmp_path):
    other = Project.__new__(Project)
    other.folder = tmp_path / "other"
    other.folder.mkdir()
    (other.folder / "Snakefile").write_text(
        f'module d:\n    snakefile: "{project.folder}/Snakefile"\n    config: config\n\nuse rule * from d\n'
    )
    (other.folder / "config.yaml").write_text("{}")
    result = other.snakemake("--dry-run", check=False)
    assert result.returncode == 1 and "`module:` are not supported" in result.stderr


def test_results_as_a_link_to_nowhere(project, tmp_path):
    other = Project(tmp_path / "copy")
    (other.folder / "results").symlink_to(tmp_path / "gone")
    assert "results: is a link to" in refused(other, "--cores", "1")
    (tmp_path / "gone").mkdir()
    assert other.jobs("results/prompts/questions.parquet") == {"prompts": 1}


# ---- errors of jobs


def test_an_error_of_a_job_is_the_last_line(project, tmp_path):
    """Of two models, one cannot be used: the other's jobs run on, and the reason is the last thing said, once."""
    other = Project(tmp_path / "copy")
    path = other.folder / "weights/one/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mask_token_id": None}))
    targets = [f"results/probe/{model}/questions.provenance.json" for model in ("one", "two")]
    result = other.snakemake("--cores", "2", *targets, check=False)
    lines = (result.stdout + result.stderr).strip().splitlines()
    assert result.returncode == 1 and (other.folder / targets[1]).exists()
    assert lines[-1].startswith("error: model one: weights/one/config.json: mask_token_id is missing or null")
    assert lines[-1].endswith("(results/logs/probe/one/questions.0.log and 1 more)")
    assert "WorkflowError" not in lines[-1] and not any("Traceback" in line for line in lines)


def test_errors_are_gathered_from_logs(tmp_path):
    def log(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    one = log("a.log", "2026-01-01 10:00:00,1 6 rows\n2026-01-01 10:00:00,2 error: a: no such file\n")
    two = log("b.log", "2026-01-01 10:00:00,2 error: a: no such file\n")
    log("c.log", "2026-01-01 10:00:00,2 error: gone by\n2026-01-01 10:00:00,3 done\n")
    three = log("d.log", "failed\nTraceback (most recent call last):\n  File\nRuntimeError: what no one foresaw\n")
    four = log(
        "e.log", "Traceback (most recent call last):\n  File\nRuntimeError: CUDA error\nCompile with this or that.\n"
    )
    log("empty.log", "")
    old = log("old.log", "2026-01-01 10:00:00,2 error: of the run before\n")
    os.utime(old, (1, 1))
    found = failures(tmp_path, time.time() - 60)
    assert found == {
        "a: no such file": [one, two],
        "RuntimeError: what no one foresaw": [three],
        "RuntimeError: CUDA error": [four],
    }
    assert summary(found, "x.log").splitlines()[0] == f"error: a: no such file ({one} and 1 more)"
    assert last_error(two) == "a: no such file"
    assert "ended without saying why" in summary({}, "x.log") and "x.log" in summary({}, "x.log")


# ---- prompts that do not fit


def test_long_prompts_are_skipped_or_truncated_where_asked(tmp_path):
    """Of 64 tokens, 60 are the prompt's own and 8 the span: refused, left out, or cut."""
    made = Project(tmp_path / "copy")
    lines = [
        json.dumps({"conversations": [q, "the cat runs fast ."]}) for q in [*QUESTIONS, "the cat " * 29 + "sleeps red"]
    ]
    (made.folder / "questions.jsonl").write_text("\n".join(lines))
    made.models = {"one": made.models["one"]}
    made.config.update(models=["one"], shard_size=4, probe={"span": 8, "prompts": 7})
    made.write()
    target = "results/probe/one/questions.provenance.json"
    result = made.snakemake("--cores", "2", target, check=False)
    assert "62 tokens and a span of 8 exceed the model's context of 64 tokens" in result.stderr.splitlines()[-1]
    assert "`long_prompts: skip` or `truncate`" in result.stderr.splitlines()[-1]
    for option, kept in (("skip", 6), ("truncate", 7)):
        made.config["long_prompts"] = option
        made.write()
        made.snakemake("--cores", "2", target)
        positions = read_table(made.folder / "results/probe/one/questions.positions.parquet")
        assert positions["prompt_id"].nunique() == kept
        skipped = json.loads((made.folder / target).read_text())["skipped"]
        assert skipped == (["questions-00006"] if option == "skip" else [])
        logs = "".join(path.read_text() for path in (made.folder / "results/logs/probe/one").iterdir())
        assert ("skipped" if option == "skip" else "truncated from the left") + ": questions-00006" in logs


def test_what_fits(tmp_path):
    from discreteness.datasets.prompts import fit_prompts

    denoiser = load_denoiser({"family": "llada", "path": tiny.write(tmp_path / "w"), "context_length": 12}, "cpu")
    chosen = pd.DataFrame({"prompt_id": ["a", "b"], "prompt": ["the cat", "the cat runs fast the dog"]})
    kept, prompts = fit_prompts(denoiser, chosen, 4, "refuse")
    assert list(kept["prompt_id"]) == ["a", "b"] and [len(prompt) for prompt in prompts] == [4, 8]
    kept, prompts = fit_prompts(denoiser, chosen, 6, "skip")
    assert list(kept["prompt_id"]) == ["a"] and len(prompts) == 1
    kept, cut = fit_prompts(denoiser, chosen, [4, 6], "truncate")
    assert list(kept["prompt_id"]) == ["a", "b"] and cut[1] == denoiser.encode_prompt(chosen["prompt"][1])[-6:]


def test_an_autoregressive_model_needs_a_token_to_begin_with(tmp_path):
    from discreteness.datasets.prompts import fit_prompts

    tiny.write_transformers(tmp_path / "gpt2", "gpt2")
    denoiser = load_denoiser({"family": "autoregressive", "path": tmp_path / "gpt2"}, "cpu")
    denoiser.tokenizer.chat_template = None
    with pytest.raises(InputError, match="prompt a: has no tokens"):
        fit_prompts(denoiser, pd.DataFrame({"prompt_id": ["a"], "prompt": [""]}), 4, "refuse")
