"""The table of docs/reruns.md: what each change of a finished run makes a new run do, and nothing more."""

import json
import os
import re
from contextlib import contextmanager

import pytest

from project import ROOT

LIBRARY = "workflow_scripts/discreteness"
CELL = re.compile(r"`(\w+)` (\d+)")


def setting(value, *keys):
    """A changed setting of config.yaml."""

    @contextmanager
    def change(project):
        table = project.config
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = value
        project.write()
        yield

    return change


def row(table, name, **keys):
    """Changed keys of a row."""

    @contextmanager
    def change(project):
        getattr(project, table)[name].update(keys)
        project.write()
        yield

    return change


@contextmanager
def added_model(project):
    """The same weights under a third name."""
    project.models["three"] = {"family": "llada", "path": "weights/one"}
    project.config["models"] = ["one", "two", "three"]
    project.write()
    yield


def edited(path, text="\nEDITED = True\n"):
    """A line more in a file."""

    @contextmanager
    def change(project):
        with project.edit(path, text):
            yield

    return change


@contextmanager
def touched(project):
    """Newer times of all files but the results."""
    for path in project.folder.rglob("*"):
        if path.is_file() and "results" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    yield


@contextmanager
def pinned(project):
    """The commit that was downloaded, named in the row."""
    record = project.folder / "results/downloads/models/two/downloaded.json"
    with row("models", "two", revision=json.loads(record.read_text())["revision"])(project):
        yield


@contextmanager
def hashed(project):
    """The hashes that the checkpoint's files have, named in the row."""
    record = project.folder / "results/models/two/provenance.json"
    with row("models", "two", sha256=json.loads(record.read_text())["sha256"])(project):
        yield


@contextmanager
def sized(project):
    """Another size of one model, a speed of the other."""
    project.models["one"]["size_gb"] = 16
    project.models["two"]["tokens_per_second"] = 1
    project.write()
    yield


@contextmanager
def cut(project):
    """Shorter jobs, of fewer prompts."""
    project.config.update(job_minutes=0.001, shard_size=2)
    project.write()
    yield


@contextmanager
def retrained(project):
    """Another learning rate of the model that is trained inside the run."""
    project.models["toy-micro"]["train"]["learning_rate"] = 0.001
    project.write()
    yield


@contextmanager
def replaced_weights(project):
    """Other weights under the same name."""
    path = project.folder / "weights/one/model.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-4] + b"\0\0\0\0")
    try:
        yield
    finally:
        path.write_bytes(before)


CHANGES = {
    "every file touched, as `git checkout` does": touched,
    "a note in a model's row (`licence`)": row("models", "two", licence="MIT"),
    "a guess of a model's size or speed (`size_gb`, `tokens_per_second`)": sized,
    "where a model runs (`gpus`)": row("models", "two", gpus=0),
    "how jobs are cut (`job_minutes`, `shard_size`)": cut,
    "the chat template of a model's `path`": edited("weights/one/chat_template.jinja", "\n"),
    "the newest commit of a downloaded model pinned (`revision`)": pinned,
    "another `revision` of a downloaded model": row("models", "two", revision="0" * 40),
    "the `sha256` of a model's files added to its row": hashed,
    "how a model is loaded (`context_length`)": row("models", "two", context_length=60),
    "other weights in a model's `path`": replaced_weights,
    "one training setting of a trained model (`learning_rate`)": retrained,
    "a model added": added_model,
    "a model removed": setting(["one"], "models"),
    "`seed`": setting(1, "seed"),
    "`threads`": setting(2, "threads"),
    "`long_prompts`": setting("skip", "long_prompts"),
    "`probe.span`": setting(6, "probe", "span"),
    "`curve.levels`": setting(12, "curve", "levels"),
    "`curve.steps`": setting([1, 2, 8], "curve", "steps"),
    "`decode.steps`": setting([1, 4, 8], "decode", "steps"),
    "a decoder added": setting(["random", "bound"], "decode", "decoders"),
    "a decoder's row": row("decoders", "optimal", temperature=0.5),
    "no judge": setting(None, "decode", "judge"),
    "the judge's row (`context_length`)": row("models", "judge", context_length=60),
    "`language.samples`": setting(50, "language", "samples"),
    "code: a comment (`core/measures.py`)": edited(f"{LIBRARY}/core/measures.py", "\n# a note\n"),
    "code: a metric of the predictions (`core/measures.py`)": edited(f"{LIBRARY}/core/measures.py"),
    "code: a metric of decoded answers (`coherence/incoherence.py`)": edited(f"{LIBRARY}/coherence/incoherence.py"),
    "code: a summary of the probe (`probing/collapse.py`)": edited(f"{LIBRARY}/probing/collapse.py"),
    "code: a model family (`denoisers/oracle.py`)": edited(f"{LIBRARY}/denoisers/oracle.py"),
    "code: what every checkpoint must pass (`denoisers/gate.py`)": edited(f"{LIBRARY}/denoisers/gate.py"),
    "code: a job's script (`probe.py`)": edited("workflow_scripts/probe.py"),
    "code: one figure (`figures/top3.py`)": edited(f"{LIBRARY}/figures/top3.py"),
    "style of all figures (`matplotlibrc`)": edited("matplotlibrc", "\n# a note\n"),
}


def table() -> list[tuple[str, dict[str, int], set[str]]]:
    """The rows of docs/reruns.md: change, rule -> jobs, models."""
    text = (ROOT / "docs/reruns.md").read_text()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    return [
        (
            change.strip(),
            {rule: int(count) for rule, count in CELL.findall(jobs)},
            set(re.findall(r"`([\w-]+)`", models)),
        )
        for change, jobs, models in rows
    ]


def test_every_change_is_in_the_table():
    assert [change for change, _, _ in table()] == list(CHANGES)


@pytest.mark.parametrize(
    ("change", "jobs", "models"), table(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_change_reruns_what_the_table_says(finished, change, jobs, models):
    with finished.changed() as project, CHANGES[change](project):
        assert project.plan() == (jobs, models)


def test_all_put_back_nothing_is_left_to_do(finished):
    assert finished.plan() == ({}, set())
