"""Nothing is lost, nothing half done is shown: killed runs, full and read-only disks, two runs at once, odd dates."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import kill_workflow
from discreteness.core import io
from discreteness.core.errors import InputError
from discreteness.figures.plotting import save_figure
from discreteness.training.snapshot import PACE, Snapshot
from discreteness.workflow import dates
from discreteness.workflow.jobs import job
from project import ROOT, Project

# ---- killed runs

TARGETS = ["results/tables/top3_small_questions.csv", "results/decodings/small/questions/random.parquet"]


def test_killed_runs(tmp_path):
    """With everything they have started; then they go on to the same files."""
    project = kill_workflow.prepare(tmp_path / "project")
    outcome = kill_workflow.disturb(project, TARGETS, kills=3, seed=1)
    print(outcome)
    assert not outcome.faults, str(outcome)
    assert outcome.kills == 3 and outcome.processes > 3


@pytest.mark.slow
def test_killed_runs_of_everything(tmp_path):
    project = kill_workflow.prepare(tmp_path / "project", everything=True)
    outcome = kill_workflow.disturb(project, ["all"], kills=20, seed=2)
    assert not outcome.faults, str(outcome)


def test_the_check_sees_what_is_not_whole(tmp_path):
    """Every kind of file, whole and cut short."""
    io.write_json({"a": 1}, tmp_path / "a.json")
    io.write_csv(pd.DataFrame({"statistic": ["x"], "value": [1.0]}), tmp_path / "a.csv")
    io.write_table(pd.DataFrame({"prompt": ["x"]}), tmp_path / "a.parquet")
    figure = plt.figure()
    save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    np.savez(tmp_path / "a.npz", a=np.arange(9))
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    made = sorted(tmp_path.iterdir())
    assert len(made) == 7
    for path in made:
        assert kill_workflow.fault(path) is None, path
        path.write_bytes(path.read_bytes()[:-10])
        assert kill_workflow.fault(path), path


# ---- what killed writers leave


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    code = (
        "import os, signal, sys\nfrom discreteness.core.io import atomic\n"
        "with atomic(sys.argv[1]) as path:\n    path.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "a.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts")}
    subprocess.run([sys.executable, "-c", code, str(target)], env=environment)
    (left,) = tmp_path.iterdir()
    assert (left / "a.json").read_text() == "half"
    others = [tmp_path / ".a.json.gz.abcdefgh", tmp_path / ".a.json.mine"]
    for other in others:
        other.mkdir()
    io.write_json({}, target)
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])


def test_two_writers_of_one_file(tmp_path):
    """Neither removes what the other is writing; the last to end wins."""
    target = tmp_path / "a.json"
    with io.atomic(target) as first:
        first.write_text("1")
        with io.atomic(target) as second:
            second.write_text("2")
        assert target.read_text() == "2"
    assert target.read_text() == "1" and list(tmp_path.iterdir()) == [target]


# ---- full and read-only disks


@pytest.fixture
def disk(tmp_path):
    """A disk of 200 kB; one who may not mount one skips the test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("may not mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


BIG = np.random.default_rng(0).random(100_000)


def write_arrays(path):
    with io.atomic(path) as temporary:
        np.savez(temporary, a=BIG)


def write_figure(path):
    figure, axes = plt.subplots()
    axes.imshow(np.resize(BIG, (500, 800)), interpolation="none")
    save_figure(figure, path, path.with_suffix(".png"))


def write_state(path):
    network = torch.nn.Linear(300, 300)
    Snapshot(path.parent, "", PACE).save(network, torch.optim.AdamW(network.parameters()), {})


WRITERS = {
    "a.json": lambda path: io.write_json({"a": BIG.tolist()}, path),
    "a.csv": lambda path: io.write_csv(pd.DataFrame({"a": BIG}), path),
    "a.parquet": lambda path: io.write_table(pd.DataFrame({"entropy": BIG}), path),
    "a.npz": write_arrays,
    "a.pdf": write_figure,
    "state.safetensors": write_state,
}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk(disk, name):
    """One line, the old file as it was, nothing else; with room again it is written."""
    path = disk / name
    path.write_text("old")
    with pytest.raises(InputError, match=rf"\A{path}: no disk space left; nothing was overwritten\Z"):
        WRITERS[name](path)
    assert path.read_text() == "old" and list(disk.iterdir()) == [path]
    subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
    WRITERS[name](path)
    assert kill_workflow.fault(path) is None


def test_read_only_disk(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for path in (disk / "a.json", disk / "new" / "a.json"):
        message = rf"\A{path}: cannot be written here \(Read-only file system\); nothing was overwritten\Z"
        with pytest.raises(InputError, match=message):
            io.write_json({}, path)


@pytest.fixture
def root_logger():
    """The root logger with no handlers but those of the test."""
    root, raising = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level, logging.raiseExceptions = handlers, level, raising
    logging.captureWarnings(False)


def test_job_on_a_full_disk(disk, capfd, root_logger):
    """Lines for people still come, without tracebacks, though there is no room for the log."""
    log = disk / "logs" / "a.log"
    log.parent.mkdir()
    (disk / "fill").write_bytes(b"x" * 150_000)
    with pytest.raises(SystemExit), job(str(log)) as logger:
        with pytest.raises(OSError, match="No space left"):
            (disk / "more").write_bytes(b"x" * 100_000)
        for _ in range(3):
            logger.info("so far")
        (disk / "still more").write_bytes(b"x" * 100_000)
    said = capfd.readouterr().err
    assert said.count("so far") == 3 and "error: no disk space left ([Errno 28]" in said
    assert "Traceback" not in said


def test_job_on_a_read_only_disk(disk, capfd, root_logger):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with job(str(disk / "logs" / "a.log")) as logger:
        logger.info("goes on")
    said = capfd.readouterr().err
    assert f"{disk}/logs/a.log: cannot be written (Read-only file system)" in said and "goes on" in said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Hashes of a run that nothing has stopped."""
    made = Project(tmp_path_factory.mktemp("undisturbed") / "copy")
    made.snakemake("--cores", "1")
    return made.hashes()


@pytest.mark.slow
@pytest.mark.parametrize("room", [20_000, 250_000, 500_000])
def test_a_whole_run_on_a_full_disk(disk, undisturbed, room):
    """At the first table, later tables, figures; Snakemake's own records too. One line a failure; it goes on."""
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    made = Project(disk / "copy")
    (disk / "fill").write_bytes(b"x" * (shutil.disk_usage(disk).free - room))
    result = made.snakemake("--cores", "1", check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and "Traceback" not in said
    assert "no disk space left" in said or "Error recording metadata" in said and "No space left" in said
    assert [path for path in kill_workflow.files(made).values() if kill_workflow.fault(path)] == []
    (disk / "fill").unlink()
    made.snakemake("--cores", "1")
    assert made.hashes() == undisturbed


@pytest.mark.parametrize("where", ["results", "."])
def test_a_run_where_nothing_can_be_written(tmp_path, where):
    """One line before any work."""
    made = Project(tmp_path / "copy")
    folder = made.folder / where
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("may not mount a folder")
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        result = made.snakemake("--cores", "1", check=False)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    said = result.stdout + result.stderr
    assert result.returncode == 1 and f"{folder}: cannot be written (Read-only file system)" in said
    assert "Traceback" not in said and "localrule" not in said and list((made.folder / "results").rglob("*")) == []


# ---- two runs at once, odd dates

MADE = ["results/prompts/questions.parquet", "results/models/one/provenance.json"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a prompts table and a model; while they were made, a second run was refused."""
    made = Project(tmp_path_factory.mktemp("dates") / "copy")
    first = kill_workflow.start(made, MADE, made.folder / "run.log")
    while not list(made.folder.glob(".snakemake/locks/*")):
        assert first.poll() is None
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        made.refusal = made.snakemake("--cores", "1", *MADE, check=False)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert first.wait(300) == 0, (made.folder / "run.log").read_text()
    return made


def test_two_runs_at_once(project):
    """The second is refused with what to do, the first is not disturbed."""
    said = project.refusal.stdout + project.refusal.stderr
    assert project.refusal.returncode != 0 and kill_workflow.LOCKED in said and "--unlock" in said
    assert "Traceback" not in said


def test_dates_ahead_of_the_clock(tmp_path):
    """A little is allowed, as clocks differ; what is not there has no date."""
    paths = [tmp_path / name for name in ("now", "soon", "tomorrow", "missing")]
    for path, ahead in zip(paths[:3], (0, dates.TOLERANCE - 1, 86400), strict=True):
        path.touch()
        os.utime(path, (time.time() + ahead,) * 2)
    dates.check_dates([paths[0], paths[1], paths[3]])
    with pytest.raises(
        InputError, match=rf"\A{paths[2]}: dated [^\n]+; set the clock right or run `touch` on the file\Z"
    ):
        dates.check_dates(paths)


def test_an_input_from_tomorrow(project):
    """One line before any work."""
    path = "weights/one/model.safetensors"
    os.utime(project.folder / path, (time.time() + 86400,) * 2)
    result = project.snakemake("--cores", "1", *MADE, check=False)
    said = result.stdout + result.stderr
    assert result.returncode != 0 and f"{path}: dated " in said and "run `touch` on the file" in said
    assert "Traceback" not in said
    os.utime(project.folder / path)


LONG_AGO = (1e9, 1e9)


def test_other_dates_alone_rerun_nothing(project):
    """Neither the `touch` of the test before nor old ones."""
    for path in project.folder.rglob("*"):
        if path.is_file() and "results" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path, LONG_AGO)
    assert project.jobs(*MADE) == {}


@pytest.mark.parametrize(
    ("paths", "jobs"),
    [
        (["questions.jsonl", "weights/one/config.json"], {"prompts": 1, "model": 1}),
        (["workflow_scripts/discreteness/datasets/lima.py"], {"prompts": 1}),
    ],
)
def test_other_content_with_an_old_date_is_noticed(project, paths, jobs):
    """As when a file is copied or unpacked with its date."""
    before = {project.folder / path: (project.folder / path).read_bytes() for path in paths}
    for file, text in before.items():
        file.write_bytes(text + (b"\nEDITED = True\n" if file.suffix == ".py" else b"\n"))
        os.utime(file, LONG_AGO)
        assert file.stat().st_mtime == LONG_AGO[0]
    try:
        assert project.jobs(*MADE) == jobs
    finally:
        for file, text in before.items():
            file.write_bytes(text)
            os.utime(file, LONG_AGO)
