"""The Makefile in folders whose names a shell would take apart, with stubs for the tools; a real run in one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import ROOT, Project

NAMES = ["plain", "My Projects", "Bob's (old) work", 'a "b" & c', "Übung ✓"]
# What a stub does: note its own path and arguments, and as `python -m venv` or `-m pip install` make the next tools.
STUB = r"""#!/bin/sh
printf '%s' "$0" >>"$STUB_LOG"; printf '|%s' "$@" >>"$STUB_LOG"; echo >>"$STUB_LOG"
case "$2" in
venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
pip) for tool in uv snakemake pytest ruff snakefmt; do cp "$0" "${0%/*}/$tool"; done ;;
esac
"""
VENV = ".venv/bin"


def run_make(folder: Path, *targets: str, **variables: str) -> list[list[str]]:
    """The tools that `make` ran in a folder, each as its path and its arguments."""
    log = folder.parent / "log"
    log.unlink(missing_ok=True)
    unset = ("VIRTUAL_ENV", "MAKEFLAGS", "PIP_FIND_LINKS", "UV_FIND_LINKS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment.update({"STUB_LOG": str(log), "PATH": "/usr/bin:/bin", **variables})
    done = subprocess.run(
        ["make", f"PYTHON={folder.parent / 'stub python'}", *targets],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split("|") for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def stubbed(tmp_path):
    """Makes a folder of a given name with the Makefile and what it needs, beside a stub for Python."""

    def make(name: str) -> Path:
        stub = tmp_path / "stub python"
        stub.write_text(STUB)
        stub.chmod(0o755)
        folder = tmp_path / name
        folder.mkdir()
        for file in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / file, folder)
        return folder

    return make


def within(folder: Path, path: str) -> str:
    """A tool's path relative to the folder that `make` ran in."""
    return os.path.relpath(folder / path, folder)


@pytest.mark.parametrize("name", NAMES)
def test_setup_and_run_in_a_folder_of_any_name(stubbed, name):
    folder = stubbed(name)
    tools = run_make(folder, "all", "CORES=3")
    assert [within(folder, tool) for tool, *_ in tools] == [
        *("../stub python", f"{VENV}/python", f"{VENV}/uv", f"{VENV}/snakemake")
    ]
    assert tools[0][1:] == ["-m", "venv", ".venv"] and tools[-1][1:] == ["--cores", "3"]
    assert ["--python", f"{VENV}/python"] == tools[2][3:5] and tools[2][-1] == ".[dev]"
    assert (folder / ".venv/.ready").is_file()
    assert [within(folder, tool) for tool, *_ in run_make(folder, "all")] == [f"{VENV}/snakemake"]  # set up once


def targets() -> list[str]:
    """Every target of the Makefile, as `.PHONY` lists them."""
    return re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M).group(1).split()


@pytest.mark.parametrize("target", sorted(set(targets()) - {"setup", "clean"}))
def test_every_target_runs_the_tools_of_its_environment(stubbed, target):
    folder = stubbed("Bob's old projects")
    run_make(folder, "setup")
    tools = run_make(folder, target)
    assert tools and {os.path.dirname(within(folder, tool)) for tool, *_ in tools} == {VENV}


def test_clean_removes_results_only(stubbed):
    folder = stubbed("My Projects")
    for path in ("results/tables/a.csv", "results/report.zip", "results/README.md", ".snakemake/log"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("")
    run_make(folder, "clean")
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"Makefile", "pyproject.toml", "constraints.txt", "results/README.md"}


def test_every_folder_of_wheels_that_pip_looks_in_serves_uv(stubbed, tmp_path):
    """pip separates them with spaces, uv with commas; what is no folder is left out."""
    folder = stubbed("plain")
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text() + "\nshow:\n\t@echo links=$$UV_FIND_LINKS\n")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    environment = {**os.environ, "PIP_FIND_LINKS": f"{tmp_path}/one {tmp_path}/none  {tmp_path}/two"}
    environment.pop("UV_FIND_LINKS", None)
    done = subprocess.run(["make", "-s", "show"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stdout == f"links={tmp_path}/one,{tmp_path}/two\n"


FIGURES = {f"{name}_questions.{kind}" for name in ("top3_one", "frequency_collapse") for kind in ("pdf", "png")}


def probe_one_model(folder: Path, python: str = sys.executable) -> set[str]:
    """Names of the figures of a small run in a new folder, started with a given Python."""
    project = Project(folder)
    project.config["models"] = ["one"]
    project.write()
    command = [python, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "workflow_scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name for path in (folder / "results/figures").iterdir()}


def test_a_run_in_a_folder_with_a_space_and_quotes(tmp_path):
    assert probe_one_model(tmp_path / 'Bob\'s "old" Übung') == FIGURES


@pytest.mark.slow
def test_real_setup_and_run_in_a_folder_with_a_space(tmp_path):
    """The README's commands, with a registry or a cache of it: the environment itself is in such a folder too."""
    folder = tmp_path / "Bob's Projects"
    folder.mkdir()
    shutil.copytree(ROOT / "workflow_scripts", folder / "workflow_scripts", ignore=shutil.ignore_patterns("*.egg-info"))
    for file in ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(["make", "setup"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    version = subprocess.run([folder / ".venv/bin/snakemake", "--version"], capture_output=True, text=True)
    assert re.match(r"\d+\.", version.stdout), version.stdout + version.stderr
    assert probe_one_model(folder / "run", str(folder / ".venv/bin/python")) == FIGURES
