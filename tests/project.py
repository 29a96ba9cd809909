"""A copy of the project in which tests run the workflow as a user does."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml

import tiny

ROOT = Path(__file__).parents[1]
PARTS = ["Snakefile", "rules", "workflow_scripts", "config", "profiles", "report", "matplotlibrc", "constraints.txt"]
QUESTIONS = ["what does the cat do", "the dog runs", "say fast", "the red cat sleeps", "a dog", "what"]


class Project:
    """A copy of the project with two tiny models, `one` and `two`, and a six-line data set."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        for name in PARTS:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        for seed, name in enumerate(("one", "two")):
            tiny.write(folder / "weights" / name, seed)
        lines = [json.dumps({"conversations": [q, "the cat runs fast ."], "source": "test"}) for q in QUESTIONS]
        (folder / "questions.jsonl").write_text("\n".join(lines))
        self.models = {name: {"family": "llada", "path": f"weights/{name}"} for name in ("one", "two")}
        self.datasets = {"questions": {"kind": "lima", "path": "questions.jsonl"}}
        self.decoders = {}
        self.config = {
            "models": ["one", "two"],
            "datasets": ["questions"],
            "shard_size": 4,
            "threads": 1,
            "probe": {"span": 8, "prompts": 6},
            "decode": {"decoders": []},
            "curve": {"prompts": 0},
            "language": {"models": [], "toys": []},
            "tables": {"models": "models.yaml", "datasets": "datasets.yaml"},
        }
        self.write()

    def write(self) -> None:
        """Write configuration and tables as they stand."""
        for name in ("config", "models", "datasets", "decoders"):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(getattr(self, name), sort_keys=False))

    def copy(self, folder: Path) -> "Project":
        """The same in another folder, with its results as they are."""
        shutil.copytree(self.folder, folder, symlinks=True)
        made = Project.__new__(Project)
        settings = {name: getattr(self, name) for name in ("models", "datasets", "decoders", "config")}
        made.__dict__.update(copy.deepcopy(settings), folder=folder)
        return made

    @contextmanager
    def changed(self):
        """Settings and tables that may be changed within the `with` block, and are put back at its end."""
        before = {name: copy.deepcopy(getattr(self, name)) for name in ("models", "datasets", "decoders", "config")}
        try:
            yield self
        finally:
            self.__dict__.update(before)
            self.write()

    def snakemake(
        self,
        *arguments: str,
        check: bool = True,
        config: str = "config.yaml",
        timeout: float | None = 400,
        **variables: str,
    ) -> subprocess.CompletedProcess:
        """Run snakemake in the copy, with the copy's own library and further environment variables."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},  # scripts set it
            "PYTHONPATH": str(self.folder / "workflow_scripts"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        command = [sys.executable, "-m", "snakemake", "--configfile", config, *arguments]
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def plan(self, *arguments: str) -> tuple[dict[str, int], set[str]]:
        """What a run would do: rule -> number of jobs, and the models that their wildcards name."""
        result = self.snakemake("--dry-run", *arguments)
        said = result.stdout + result.stderr
        jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M)}
        return {rule: n for rule, n in jobs.items() if rule not in ("total", "all")}, set(
            re.findall(r"model=([\w.-]+)", said)
        )

    def jobs(self, *arguments: str) -> dict[str, int]:
        """What a run would do: rule -> number of jobs."""
        return self.plan(*arguments)[0]

    def shown(self) -> set[str]:
        """The models named in the outputs of the jobs that a run would do."""
        return self.plan()[1]

    def edit(self, path: str, text: str):
        """Append to a file; undone at the end of the `with` block."""
        return _Edited(self.folder / path, text)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of all tables and figures (shards, which are temporary, left out)."""
        results = self.folder / "results"
        files = [path for kind in ("parquet", "csv", "png", "pdf") for path in results.rglob(f"*.{kind}")]
        files = [path for path in files if not path.parent.name.endswith(".shards")]
        return {str(p.relative_to(results)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


class _Edited:
    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text

    def __enter__(self):
        self.before = self.path.read_text()
        self.path.write_text(self.before + self.text)

    def __exit__(self, *_):
        self.path.write_text(self.before)
