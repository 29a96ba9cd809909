"""Kill a run of the workflow, with everything it has started, at random moments, and look at what is left.

    python tests/kill_workflow.py --kills 100 --seed 1 [--within 20] [--everything] [--folder kept]

A run is killed with SIGKILL as often as it takes until it ends by itself, then the next one starts from nothing, until
there were enough kills. After each kill every file under its final name must be whole and, where it also exists in an
undisturbed run, equal to it; at the end of each run the same files must be there, and nothing else.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
from safetensors.torch import load_file

from project import Project

# Files that name how long something took
TIMED = ("training.json", ".speed.json", ".jsonl")
LOCKED = "Directory cannot be locked"


def prepare(folder: Path, everything: bool = False) -> Project:
    """A project that trains a tiny model, probes it and decodes from it; with `everything`, every kind of figure."""
    made = Project(folder)
    training = made.folder / "workflow_scripts/discreteness/training/snapshot.py"
    text = training.read_text()
    assert "seconds: float = 30.0" in text
    training.write_text(text.replace("seconds: float = 30.0", "seconds: float = 0.1"))  # a killed training goes on
    train = {
        "data": "questions",
        "start": "random",
        "vocab_size": 300,
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "mlp_hidden_size": 24,
        "max_sequence_length": 96,
        "max_prompt_length": 64,
        "learning_rate": 0.01,
        "warmup_steps": 3,
        "decay": 0.3,
        "weight_decay": 0.1,
        "full_mask_share": 0.2,
        "prompt_dropout": 0.3,
        "text_share": 0.2,
        "phases": [{"steps": 100, "spans": [2, 8], "batch_size": 4}],
    }
    made.models = {"small": {"family": "llada", "train": train}}
    made.decoders = {"random": {"order": "random", "temperature": 1.0, "forbid": ["mask"]}}
    made.config.update(
        models=["small"],
        shard_size=6,
        decode={"decoders": ["random"], "steps": [1, 4], "span": 8, "prompts": 4, "rescored": 2, "judge": None},
        language={"models": [], "decoders": [], "toys": []},
    )
    if everything:
        made.models["toy-oracle"] = {"family": "oracle", "language": "toy"}
        made.models["grammar-oracle"] = {"family": "oracle", "language": "grammar"}
        made.datasets.update({"toy": {"kind": "toy"}, "grammar": {"kind": "grammar"}})
        made.config.update(
            curve={"prompts": 5, "span": 8, "steps": [1, 4, 8], "sentences": 20},
            language={
                "models": ["grammar-oracle"],
                "decoders": ["random"],
                "steps": [1, 12],
                "temperatures": [1.0],
                "samples": 20,
                "sentences": 10,
                "toys": ["toy-oracle"],
            },
        )
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    return made


def files(project: Project) -> dict[str, Path]:
    """What stands under a final name: neither a log nor in a hidden folder."""
    results = project.folder / "results"
    found = {str(path.relative_to(results)): path for path in sorted(results.rglob("*")) if not path.is_dir()}
    return {name: path for name, path in found.items() if not name.startswith("logs/") and "/." not in f"/{name}"}


def hidden(project: Project) -> list[str]:
    """What killed writers have left."""
    results = project.folder / "results"
    return [str(path.relative_to(results)) for path in results.rglob(".*")]


def fault(path: Path) -> str | None:
    """What is wrong with a file by its kind, or None where it is whole."""
    try:
        match path.suffix:
            case ".parquet":
                pq.read_table(path)
            case ".csv":
                assert path.read_bytes().endswith(b"\n"), "no line end"
                pd.read_csv(path)
            case ".json":
                json.loads(path.read_text())
            case ".jsonl":
                for line in path.read_text().splitlines():
                    json.loads(line)
            case ".png":
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "no end"
            case ".pdf":
                assert path.read_bytes().rstrip().endswith(b"%%EOF"), "no end"
            case ".safetensors":
                load_file(path)
            case ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    assert all(arrays[name].size for name in arrays.files), "empty array"
            case ".jinja":
                assert path.read_text(), "empty"
            case _:
                return "of an unknown kind"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def hashes(project: Project) -> dict[str, str]:
    """SHA-256 of every file, `timed` where it says how long something took."""
    return {
        name: "timed" if name.endswith(TIMED) else hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files(project).items()
    }


def kill(process: subprocess.Popen) -> int:
    """SIGKILL to a process and everything it has started; returns how many there were."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in children:  # those that left the group
        with suppress(psutil.NoSuchProcess):  # most have gone with it
            child.kill()
    psutil.wait_procs(children, timeout=30)
    process.wait(30)
    return 1 + len(children)


@dataclass
class Outcome:
    """What happened, and everything that was wrong."""

    kills: int = 0
    runs: int = 0
    processes: int = 0
    locked: int = 0
    resumed: int = 0
    left: Counter = field(default_factory=Counter)  # kind of hidden leftover -> how often it was there after a kill
    running: Counter = field(default_factory=Counter)  # rule -> how often it was interrupted
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.kills} kills ({self.processes} processes) in {self.runs} runs, {self.seconds:.0f} s; "
            f"lock left by {self.locked} kills; training gone on {self.resumed} times",
            "interrupted: " + ", ".join(f"{rule} {count}" for rule, count in self.running.most_common()),
            "hidden leftovers after kills: " + (", ".join(f"{k} {n}" for k, n in self.left.most_common()) or "none"),
            f"{len(self.faults)} faults",
        ]
        return "\n".join([*lines, *self.faults])


def start(project: Project, targets: list[str], log: Path) -> subprocess.Popen:
    """Start the workflow in a group of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(project.folder / "workflow_scripts"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2", *targets]
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env=environment,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def disturb(
    project: Project,
    targets: list[str],
    kills: int,
    seed: int,
    within: float | None = None,
    progress=lambda outcome: None,
) -> Outcome:
    """Kill runs of the workflow `kills` times, each `within` so many seconds after it was started or started again.

    The moments are drawn evenly; within None: half of the time an undisturbed run takes.
    """
    began = time.monotonic()
    log = project.folder / "run.log"
    assert start(project, targets, log).wait(3600) == 0, log.read_text()
    within = within or (time.monotonic() - began) / 2
    reference, whole, results = hashes(project), Outcome(), project.folder / "results"
    assert not any(map(fault, files(project).values())) and not hidden(project)
    draw = random.Random(seed)
    while whole.kills < kills:
        shutil.rmtree(results)
        shutil.rmtree(project.folder / ".snakemake")
        ended = False
        while not ended:
            process = start(project, targets, log)
            try:
                wait = draw.uniform(0, within) if whole.kills < kills else 3600
                ended = process.wait(wait) == 0
                if not ended:
                    whole.faults.append(f"after kill {whole.kills} the run failed:\n{log.read_text()}")
                    return whole
            except subprocess.TimeoutExpired:
                whole.processes += kill(process)
                whole.kills += 1
                _look(project, reference, whole, log)
                if any((project.folder / ".snakemake/locks").glob("*")):
                    whole.locked += 1
                    project.snakemake("--unlock")
                whole.seconds = time.monotonic() - began
                progress(whole)
            whole.resumed += "going on from step" in log.read_text()
        whole.runs += 1
        found = hashes(project)
        for name in sorted(found.keys() | reference.keys()):
            if found.get(name) != reference.get(name):
                whole.faults.append(f"run {whole.runs}: {name} is {found.get(name)}, not {reference.get(name)}")
        whole.faults += [f"run {whole.runs}: {name} was left" for name in hidden(project)]
        whole.seconds = time.monotonic() - began
    return whole


def _look(project: Project, reference: dict[str, str], whole: Outcome, log: Path) -> None:
    """Look at what a kill has left."""
    for name, path in files(project).items():
        if problem := fault(path):
            whole.faults.append(f"kill {whole.kills}: {name}: {problem}")
        elif name in reference and reference[name] not in ("timed", hashlib.sha256(path.read_bytes()).hexdigest()):
            whole.faults.append(f"kill {whole.kills}: {name} is another than in the undisturbed run")
    whole.left.update(Path(name).name.rsplit(".", 1)[0] for name in hidden(project))
    rules = {}
    for line in log.read_text(errors="replace").splitlines():
        words = line.split()
        if line.startswith(("rule ", "localrule ")):
            rule = words[1].rstrip(":")
        elif words[:1] == ["jobid:"]:
            rules[words[1]] = rule
        elif line.startswith("Finished jobid:"):
            rules.pop(words[2], None)
    whole.running.update(rules.values() or ["(start)"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, help="seconds between a start and a kill, at most")
    parser.add_argument("--everything", action="store_true", help="every kind of figure: three times as long")
    parser.add_argument("--folder", type=Path, help="a new folder to run in and keep")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp()) / "project"
    project = prepare(folder.resolve(), chosen.everything)
    outcome = disturb(project, ["all"], chosen.kills, chosen.seed, chosen.within, lambda made: print(f"{made}\n"))
    print(outcome)
    if chosen.folder is None:
        shutil.rmtree(folder.parent)
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main())
