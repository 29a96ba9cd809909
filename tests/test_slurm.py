"""The workflow on a Slurm cluster: what jobs ask for, a whole run, and everything that can go wrong on the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

import tiny
from discreteness.core.errors import InputError
from discreteness.workflow import cluster as own
from project import Project
from slurm_cluster import SlurmCluster, missing, wait

ROOT = Path(__file__).parents[1]
PROFILE = ("--workflow-profile", "profiles/slurm")
HOLD = "import os, time\nwhile os.path.exists('hold'):\n    time.sleep(0.05)\n"


# What jobs ask for: dry runs, for which no cluster is needed.


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("planned") / "copy")


def asked(project, rule, *arguments, **how):
    """Model -> resources that a job of a rule would ask for."""
    output = project.snakemake("--dry-run", *PROFILE, *arguments, **how).stdout
    jobs = re.findall(rf"^rule {rule}:.*?wildcards: model=([\w.-]+).*?resources: (.*?)$", output, re.M | re.S)
    return {model: dict(re.findall(r"(\w+)=([\w.]+)", resources)) for model, resources in jobs}


def test_models_ask_for_the_gpus_of_their_row(planned):
    models = ["one", "two", "three"]
    planned.models["two"]["gpus"] = 0
    planned.models["three"] = {**planned.models["one"], "gpus": 2}
    planned.write()
    found = asked(planned, "probe_shard", "--config", f"models=[{','.join(models)}]")
    assert [found[model]["gpu"] for model in models] == ["1", "0", "2"]


@pytest.mark.slow
def test_nothing_asks_for_a_gpu_where_the_device_is_a_cpu(planned):
    found = asked(planned, "probe_shard", "--config", "device=cpu")
    assert {one["gpu"] for one in found.values()} == {"0"}


def test_a_large_model_gets_memory_and_time(planned):
    found = asked(planned, "probe", config="config/paper.yaml")["llada-8b-instruct"]
    wanted = {"gpu": "1", "mem_mb": "36000", "runtime": "120"}  # 16 GB of weights
    assert wanted.items() <= found.items()


def test_the_profile_sets_what_the_default_one_sets():
    default, slurm = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("default", "slurm")
    )
    del default["resources"]  # the one GPU of this machine
    assert default.items() <= slurm.items()
    assert slurm["slurm-jobname-prefix"] == own.PREFIX


def test_without_a_scheduler_one_line_says_so(planned, tmp_path):
    for name in ("sh", "bash", "which"):
        (tmp_path / name).symlink_to(shutil.which(name))
    result = planned.snakemake(*PROFILE, check=False, PATH=str(tmp_path))
    assert result.returncode != 0 and "squeue: not found" in result.stderr
    assert "Traceback" not in result.stderr and not (planned.folder / "results").exists()


def test_an_unreachable_scheduler_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error:\nno controller' >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match="^squeue: slurm_load_jobs error: no controller$"):
        own.queued(tmp_path)


def test_only_this_folders_jobs_count(monkeypatch, tmp_path):
    lines = [f"7|discreteness_1|{tmp_path}", f"8|other_1|{tmp_path}", f"9|discreteness_2|{tmp_path}/elsewhere"]
    (tmp_path / "squeue").write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert own.queued(tmp_path) == ["7"]
    with pytest.raises(InputError, match="^jobs 7 of an earlier run in this folder have not ended"):
        own.check_none_left(tmp_path)


# Runs on a cluster of pretended nodes.

on_cluster = pytest.mark.skipif(missing() is not None, reason=f"no Slurm cluster: {missing()}")


@pytest.fixture(scope="module")
def cluster():
    with SlurmCluster() as started:
        yield started


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """After every test: no job of the cluster and no process in a project's folder."""
    yield
    if "cluster" in request.fixturenames:
        started = request.getfixturevalue("cluster")
        left = [job["JobId"] for job in started.running()]
        strays = [p.cmdline() for p in psutil.process_iter() if own._same(str(_cwd(p)), PROJECTS[-1].folder)]
        started.cancel()
        assert not left and not strays


PROJECTS = []


def _cwd(process):
    try:
        return process.cwd()
    except psutil.Error:
        return None


class OnCluster(Project):
    """A project whose probing jobs wait as long as there is a file `hold`."""

    def __init__(self, folder, **config):
        super().__init__(folder)
        PROJECTS.append(self)
        self.config = {**self.config, **config}
        tiny.write_transformers(folder / "weights" / "two", "gpt2")
        self.models["two"]["family"] = "autoregressive"
        self.write()
        script = folder / "workflow_scripts" / "probe.py"
        docstring, code = script.read_text().split("\n", 1)
        script.write_text(f"{docstring}\n{HOLD}{code}")
        self.hold = folder / "hold"
        self.log = folder / "slurm.log"

    def start(self, *arguments: str) -> psutil.Popen:
        """Start Snakemake on the cluster and go on."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "workflow_scripts")}
        command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", *PROFILE, *arguments]
        with self.log.open("w") as log:
            return psutil.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def finish(self, snakemake: psutil.Popen) -> int:
        """Let the jobs go on and wait for Snakemake's end."""
        self.hold.unlink(missing_ok=True)
        return snakemake.wait(600)

    def stop(self) -> str:
        """What the handbook says stops a run."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "workflow_scripts")}
        command = [sys.executable, "-m", "discreteness.workflow.cluster"]
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def scripts(self) -> list[psutil.Process]:
        """The probing scripts that run within a job."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                mine = process.cwd() == str(self.folder) and "SLURM_JOB_ID" in process.environ()
            except psutil.Error:
                continue
            if mine and "python" in Path(words[0]).name and words[-1].endswith("probe.py"):
                found.append(process)
        return found

    def held(self, number: int) -> list[psutil.Process]:
        """Wait until that many probing scripts run in their jobs; returns them."""
        wait(lambda: len(self.scripts()) == number, 300, lambda: self.log.read_text()[-3000:])
        return self.scripts()

    def partial(self) -> list[Path]:
        """Files of probing under their final names."""
        return [path for path in (self.folder / "results" / "probe").rglob("*") if path.is_file()]


WHOLE = {
    "decode": {"decoders": ["random"], "steps": [2, 8], "span": 8, "prompts": 2, "rescored": 2, "judge": None},
    "curve": {"prompts": 2, "span": 8, "levels": 3, "steps": [1, 8]},
}
SUBMITTED = {"probe_shard": 4, "probe": 2, "decode": 2, "rescore": 2, "information_curve": 1}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Hashes of the results of model `one` from a run on this machine alone."""
    project = OnCluster(tmp_path_factory.mktemp("local") / "copy", models=["one"])
    project.snakemake("--cores", "2")
    return project.hashes()


def by_output(jobs) -> dict[str, list[dict[str, str]]]:
    """What a job is for (rule and wildcards) -> its submissions, first to last."""
    found = {}
    for job in sorted(jobs, key=lambda job: int(job["JobId"])):
        found.setdefault(job["Comment"], []).append(job)
    return found


def submitted(cluster, project) -> dict[str, list[dict[str, str]]]:
    """The project's jobs by what they are for; no two of them for the same output ever ran at once."""
    found = by_output(job for job in cluster.jobs() if job["WorkDir"] == str(project.folder))
    for jobs in found.values():
        for earlier, later in zip(jobs, jobs[1:], strict=False):
            assert earlier["EndTime"] <= later["StartTime"], jobs
    return found


@on_cluster
def test_two_jobs_on_one_node_one_of_them_killed(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    scripts = project.held(2)
    devices = sorted((p.environ()["SLURMD_NODENAME"], p.environ()["CUDA_VISIBLE_DEVICES"]) for p in scripts)
    assert devices == [("gpu1", "0"), ("gpu1", "1")]
    scripts[0].kill()
    assert project.finish(snakemake) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    jobs = submitted(cluster, project)
    assert {name: {job["Partition"] for job in each} for name, each in jobs.items() if "shard" not in name} == {
        "rule_probe_wildcards_one_questions": {"cpu"}  # joins the shards
    }
    shards = [each for name, each in jobs.items() if "shard" in name]
    assert {job["Partition"] for each in shards for job in each} == {"gpu"}
    [_, (killed, again)] = sorted(shards, key=len)
    assert (killed["JobState"], again["JobState"]) == ("FAILED", "COMPLETED")
    assert (killed["MinMemoryNode"], again["MinMemoryNode"]) == ("4000M", "8000M")
    assert (killed["TimeLimit"], again["TimeLimit"]) == ("01:00:00", "02:00:00")
    result = project.snakemake(*PROFILE)
    assert "Nothing to be done" in result.stdout + result.stderr


@on_cluster
@pytest.mark.slow
def test_whole_workflow(cluster, tmp_path):
    alone = OnCluster(tmp_path / "alone", **WHOLE)
    alone.snakemake("--cores", "2")
    project = OnCluster(tmp_path / "copy", **WHOLE)
    assert project.finish(project.start()) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone.hashes()
    jobs = submitted(cluster, project)
    number = {rule: sum(comment.startswith(f"rule_{rule}_w") for comment in jobs) for rule in SUBMITTED}
    assert number == SUBMITTED and len(jobs) == sum(SUBMITTED.values())
    for name, [job] in jobs.items():
        if name.startswith("rule_probe_w"):  # joins shards
            assert job["Partition"] == "cpu"
        else:
            assert (job["Partition"], job["JOB_GRES"]) == ("gpu", "gpu:fake:1")
    result = project.snakemake(*PROFILE)
    assert "Nothing to be done" in result.stdout + result.stderr


@on_cluster
@pytest.mark.slow
def test_a_node_dies(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    scripts = project.held(2)
    cluster.kill_node("gpu1")
    assert not psutil.wait_procs(scripts, timeout=10)[1]
    assert project.finish(snakemake) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    ends = [[(job["JobState"], job["NodeList"]) for job in jobs] for jobs in submitted(cluster, project).values()]
    assert ends == 2 * [[("NODE_FAIL", "gpu1"), ("COMPLETED", "gpu2")]]
    cluster.start_node("gpu1")
    cluster.wait(lambda: cluster.nodes()["gpu1"] == "idle", 60, "the node to come back")


@on_cluster
@pytest.mark.slow
def test_the_scheduler_restarts(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    project.held(2)
    cluster.kill_controller()
    with pytest.raises(InputError, match="^squeue: "):
        own.queued(project.folder)
    cluster.start_controller()
    assert project.finish(snakemake) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    assert [[job["JobState"] for job in jobs] for jobs in submitted(cluster, project).values()] == 2 * [["COMPLETED"]]


@on_cluster
@pytest.mark.slow
def test_a_job_fails_twice(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    scripts = project.held(2)
    unlucky = scripts[0].environ()["SLURM_JOB_ID"]
    scripts[0].kill()
    cluster.wait(lambda: unlucky not in {job["JobId"] for job in cluster.running()}, 60, "the job to fail")
    [again] = [script for script in project.held(2) if script != scripts[1]]
    again.kill()
    assert project.finish(snakemake) == 1
    log = project.log.read_text()
    failures = re.findall(r"^Error in rule probe:.*?^    log: (\S+), (\S+) ", log, re.M | re.S)  # the script's, Slurm's
    assert len(failures) == 2 and failures[0][0] == failures[1][0]
    assert all((project.folder / path).is_file() for paths in failures for path in paths)
    assert "Traceback" not in log
    assert project.finish(project.start()) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    ends = [[job["JobState"] for job in jobs] for jobs in submitted(cluster, project).values()]
    assert sorted(ends, key=len) == [["COMPLETED"], ["FAILED", "FAILED", "COMPLETED"]]  # the other went on, and stays


@on_cluster
@pytest.mark.slow
def test_a_model_on_two_gpus(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.models["one"]["gpus"] = 2
    project.write()
    project.hold.touch()
    snakemake = project.start()
    scripts = project.held(2)
    devices = sorted((p.environ()["SLURMD_NODENAME"], p.environ()["CUDA_VISIBLE_DEVICES"]) for p in scripts)
    assert devices == [("gpu1", "0,1"), ("gpu2", "0,1")]
    assert project.finish(snakemake) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    assert {job["JOB_GRES"] for jobs in submitted(cluster, project).values() for job in jobs} == {"gpu:fake:2"}


def out_of_time(cluster, project) -> dict[str, str]:
    """End one of two waiting jobs by its time limit; returns it as Slurm knows it."""
    project.held(2)
    late, _ = cluster.running()
    subprocess.run(["scontrol", "update", f"JobId={late['JobId']}", "TimeLimit=0-00:00:01"], check=True)
    cluster.wait(lambda: late["JobId"] not in {job["JobId"] for job in cluster.running()}, 90, "the time limit")
    assert project.partial() == []
    return late


@on_cluster
@pytest.mark.slow
def test_a_job_runs_out_of_time(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start("--retries", "0")
    late = out_of_time(cluster, project)
    assert project.finish(snakemake) == 1
    assert f"SLURM-job '{late['JobId']}' failed, SLURM status is: 'TIMEOUT'" in project.log.read_text()
    assert not (project.folder / "results" / "probe" / "one" / "questions.positions.parquet").exists()
    assert project.finish(project.start()) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    assert [len(jobs) for jobs in submitted(cluster, project).values()] == [2, 1]


@on_cluster
@pytest.mark.slow
def test_a_job_gets_twice_the_time_after_a_time_limit(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    out_of_time(cluster, project)
    assert project.finish(snakemake) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    [[other], [late, again]] = sorted(submitted(cluster, project).values(), key=len)
    assert (late["JobState"], again["JobState"], other["JobState"]) == ("TIMEOUT", "COMPLETED", "COMPLETED")
    assert (other["TimeLimit"], again["TimeLimit"]) == ("01:00:00", "02:00:00")


@on_cluster
@pytest.mark.slow
def test_snakemake_is_killed_then_stop_and_resume(cluster, alone, tmp_path):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    project.held(2)
    snakemake.kill()
    snakemake.wait()
    assert len(cluster.running()) == 2
    result = project.snakemake(*PROFILE, check=False)
    assert result.returncode == 1 and "LockException" in result.stderr
    project.snakemake("--unlock")
    result = project.snakemake(*PROFILE, check=False)
    assert result.returncode == 1 and re.search(
        "jobs .* of an earlier run in this folder have not ended", result.stderr
    )
    assert "Traceback" not in result.stderr
    assert "cancelling" in project.stop()
    assert not cluster.running() and not project.scripts() and project.partial() == []
    assert project.finish(project.start()) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
    ends = [[job["JobState"] for job in jobs] for jobs in submitted(cluster, project).values()]
    assert ends == 2 * [["CANCELLED", "COMPLETED"]]


@on_cluster
@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupt", "stop"])
def test_a_run_is_stopped_while_snakemake_lives(cluster, alone, tmp_path, how):
    project = OnCluster(tmp_path / "copy", models=["one"])
    project.hold.touch()
    snakemake = project.start()
    project.held(2)
    if how == "interrupt":
        snakemake.send_signal(signal.SIGINT)
        assert snakemake.wait(60) == 1
    else:
        assert "interrupting" in project.stop()
    cluster.wait(lambda: not cluster.running(), 20, "the jobs to be cancelled")
    assert project.partial() == []
    assert project.finish(project.start()) == 0, project.log.read_text()[-5000:]
    assert project.hashes() == alone
