"""What the documents tell to type: CONTRIBUTING.md's recipes word for word, README.md's snippet, paths of results."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

import tiny
from discreteness.workflow.figures import FIGURES
from project import QUESTIONS, ROOT, Project

ROOT_FILES = ("Snakefile", "pyproject.toml", "constraints.txt")
# Recipes that are followed here; the first two are followed by test_published.py and test_trap_workflow.py
FOLLOWED = ["A per-position number", "A figure", "A model family", "A kind of data set", "A dependency"]


class Block(NamedTuple):
    """A fenced block of a recipe: language, text, the file named last before it, the words before it."""

    language: str
    text: str
    path: str | None
    before: str


def recipes() -> dict[str, list[Block]]:
    """Heading -> blocks, of the section of CONTRIBUTING.md on adding things."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Adding things\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for recipe in section.split("\n### ")[1:]:
        heading, text = recipe.split("\n", 1)
        found[heading] = []
        for before, language, body in re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", text, re.S | re.M):
            paths = [name for name in re.findall(r"`([^`\s]+)`", before) if "/" in name or name in ROOT_FILES]
            found[heading].append(Block(language, body, paths[-1] if paths else None, before))
    return found


def patched(text: str, diff: str) -> str:
    """A text with a block of `+`, `-` and unchanged lines applied; these must stand in it, once."""
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    assert {mark for mark, _ in lines} <= set("+- "), diff
    old = "".join(line + "\n" for mark, line in lines if mark != "+")
    new = "".join(line + "\n" for mark, line in lines if mark != "-")
    assert f"\n{text}".count(f"\n{old}") == 1, f"not there once:\n{old}"
    return f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]


def follow(blocks: list[Block], folder: Path) -> dict[str, dict]:
    """Do what a recipe says to the files in a folder; returns the rows it adds, by the table's file."""
    rows = {}
    for block in blocks:
        if block.language == "sh":
            continue
        file = folder / block.path
        if block.language == "yaml":
            rows[block.path] = yaml.safe_load(block.text)
        elif block.language == "diff":
            file.write_text(patched(file.read_text(), block.text))
        elif file.exists():
            assert "at the end of" in block.before
            file.write_text(f"{file.read_text()}\n\n{block.text}")
        else:
            assert "new" in block.before.split()
            file.write_text(block.text)
    return rows


def command(blocks: list[Block]) -> list[str]:
    """The words of a recipe's one command."""
    (text,) = [block.text for block in blocks if block.language == "sh"]
    return shlex.split(text)


def environment(folder: Path) -> dict[str, str]:
    """Variables with which Python takes a folder's library, not the installed one."""
    return {**os.environ, "PYTHONPATH": str(folder / "workflow_scripts"), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A project in which all recipes were followed, and their commands given, with its model and data set."""
    project = Project(tmp_path_factory.mktemp("recipes") / "copy")
    for file in (ROOT / "pyproject.toml", ROOT / "results/README.md", *(ROOT / "tests").glob("*.py")):
        target = project.folder / file.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
    every, targets = recipes(), []
    for heading in FOLLOWED:
        added = follow(every[heading], project.folder)
        project.models.update(added.get("config/models.yaml", {}))
        project.datasets.update(added.get("config/datasets.yaml", {}))
        targets += [word.replace("docs", "my-table") for word in command(every[heading]) if word.startswith("results/")]
    document = [sys.executable, "-m", "discreteness.workflow.documentation"]
    subprocess.run(document, cwd=project.folder, env=environment(project.folder), check=True)
    tiny.write_transformers(project.folder / project.models["my-diffusion"]["path"], "qwen3")
    table = project.folder / project.datasets["my-table"]["path"]
    table.parent.mkdir()
    pd.DataFrame({"prompt": QUESTIONS, "answer": "the cat runs fast ."}).to_csv(table, index=False)
    project.config.update(models=["my-diffusion"], datasets=["my-table"], shard_size=6)
    project.write()
    project.snakemake("--cores", "1", *targets)
    return project


def test_every_recipe_is_followed():
    headings = list(recipes())
    assert headings[2:] == FOLLOWED
    (row,), (policy,) = (recipes()[heading] for heading in headings[:2])  # by the regular expressions of other tests
    assert row.text.startswith("my-bert:") and policy.text.startswith("@policy(")


def test_a_per_position_number(followed):
    results = followed.folder / "results"
    positions = pd.read_parquet(results / "probe/my-diffusion/my-table.positions.parquet")
    tokens = pd.read_parquet(results / "probe/my-diffusion/my-table.tokens.parquet")
    assert positions["renyi2"].between(0, positions["entropy"]).all()
    squares = tokens.assign(p2=tokens["probability"] ** 2).groupby(["prompt_id", "position"])["p2"].sum()  # of some
    assert (np.exp(-positions.set_index(["prompt_id", "position"])["renyi2"]) >= squares - 1e-6).all()
    table = pd.read_csv(results / "tables/frequency_collapse_my-table.csv")
    mean = table[(table["statistic"] == "renyi2") & (table["variant"] == "all")].set_index("position")["value"]
    assert np.allclose(mean, positions.groupby("position")["renyi2"].mean(), atol=1e-6)


def test_a_figure(followed):
    results = followed.folder / "results"
    assert (results / "figures/calibration_my-table.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "figures/calibration_my-table.pdf").stat().st_size > 1000
    table = pd.read_csv(results / "tables/calibration_my-table.csv")
    assert table["predictions"].sum() == 6 * 8 and set(table["model"]) == {"my-diffusion"}
    assert table["right"].between(0, 1).all() and table["probability"].between(0, 1).all()
    assert "plot_calibration" not in followed.jobs()
    png = results / "figures/calibration_my-table.png"
    png.rename(png.with_suffix(".away"))
    assert followed.jobs()["plot_calibration"] == 1, "the figure is part of every run"
    png.with_suffix(".away").rename(png)


def test_a_model_family(followed):
    positions = pd.read_parquet(followed.folder / "results/probe/my-diffusion/my-table.positions.parquet")
    assert len(positions) == 6 * 8 and positions["entropy"].between(0, 4).all()
    assert positions["js_next"].max() > 1e-4, "predictions differ from place to place"


def test_a_kind_of_data_set(followed):
    prompts = pd.read_parquet(followed.folder / "results/prompts/my-table.parquet")
    assert list(prompts["prompt"]) == QUESTIONS and set(prompts["source"]) == {"data/my-table.csv"}
    assert prompts["prompt_id"].iloc[-1] == "my-table-00005"


def test_the_recipes_pass_the_checks(followed):
    """Formatting, lint, and the tests that compare texts."""
    folder = followed.folder
    files = sorted({block.path for blocks in recipes().values() for block in blocks if block.language != "sh"})
    python, rules = ([name for name in files if name.endswith(ending)] for ending in (".py", ".smk"))
    tests = [f"tests/{name}.py" for name in ("test_configuration", "test_fingerprint")]
    comparing = "up_to_date or described_and_listed_in_the_readme or every_script_belongs_to_a_rule"
    for arguments in (
        ["ruff", "check", *python],
        ["ruff", "format", "--check", *python],
        ["snakefmt", "--check", "Snakefile", *rules],
        ["pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", comparing],
    ):
        tool = [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]]
        result = subprocess.run(tool, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"


def wheel(folder: Path, name: str, version: str) -> None:
    """A package without content, as far as an installer looks at it."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def names_of(requirements: list[str]) -> set[str]:
    """Names of packages, as constraints.txt spells them."""
    return {re.split(r"[=<>;\s\[]", text)[0].lower() for text in requirements}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert names_of([*project["dependencies"], *project["optional-dependencies"]["dev"]]) <= names_of(pinned)


def test_a_dependency(tmp_path):
    """The command for that one dependency, without a registry: it is pinned, an older pin is kept."""
    blocks = recipes()["A dependency"]
    tool, *arguments = command(blocks)
    header = (ROOT / "constraints.txt").read_text().splitlines()[0]
    assert set(arguments) - {"pip", "compile"} <= set(shlex.split(header.removeprefix("# uv pip compile")))
    shown = {line for block in blocks if block.language == "diff" for line in block.text.splitlines()}
    (added,) = {line[1:].strip(' ",') for line in shown if line.startswith("+")}
    before = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(before)
    assert follow(blocks, tmp_path) == {}
    now = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(now) - set(tomllib.loads(before)["project"]["dependencies"]) == {added} and now == sorted(now)
    few = f'[project]\nname = "few"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["tqdm", "{added}"]\n'
    (tmp_path / "pyproject.toml").write_text(few)
    (tmp_path / "constraints.txt").write_text("tqdm==1.0\n")
    for name, version in (("tqdm", "1.0"), ("tqdm", "2.0"), (added, "3.1")):
        wheel(tmp_path, name, version)
    uv = Path(sys.executable).with_name(tool)
    local = ["--no-index", "--find-links", str(tmp_path), "--python", sys.executable]
    without = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}  # other places to look
    result = subprocess.run(
        [uv, *arguments, *local], cwd=tmp_path, env=without, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"{added}==3.1", "tqdm==1.0"]
    assert any("uv pip compile --universal" in line for line in lines), "the command is at the top again"


def test_the_snippet_of_the_readme():
    """It prints what is shown below it; greedy, so that only ties could differ between processors."""
    text = (ROOT / "README.md").read_text()
    code, said = re.search(r"```python\n(from discreteness.*?)```\n.*?```\n(.*?)```", text, re.S).groups()
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == said


def written() -> set[str]:
    """Every path of results that rules and programs name, with placeholders."""
    sources = [ROOT / "Makefile", *(ROOT / "rules").rglob("*.smk"), *(ROOT / "workflow_scripts").rglob("*.py")]
    found = {path for file in sources for path in re.findall(r"results/[\w{}.*/-]*", file.read_text())}
    found |= {f"results/figures/{figure.stem}.{kind}" for figure in FIGURES for kind in ("pdf", "png")}
    return {re.sub(r"\{[^}]*\}", "{}", path) for path in found if "*" not in path} | {"results/README.md"}


def named(document: str) -> set[str]:
    """Every path of results that a document names, without what only ends the sentence.

    Left out are the blocks of CONTRIBUTING.md, which are followed above. The tables of what is in `results/` name paths
    from there.
    """
    text = (ROOT / document).read_text()
    if document == "CONTRIBUTING.md":
        text = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    found = {path.rstrip(".") for path in re.findall(r"results/[\w{}.*/-]*", text)}
    if table := re.search(r"^\| (in `results/`|path) \|.*?\n\n", text, re.S | re.M):
        cells = [line.split(" | ")[0] for line in table[0].splitlines()[2:]]
        found |= {f"results/{path}" for cell in cells for path in re.findall(r"`(\w+/[^`]*)`", cell)}
    return found


def pattern(path: str) -> str:
    """A regular expression of what a path with placeholders stands for."""
    return "".join("[^/]+" if part in ("{}", "*") else re.escape(part) for part in re.split(r"(\{\}|\*)", path))


def is_written(path: str, paths: set[str]) -> bool:
    """Whether a path is one of some files, a folder above them, or one without its ending; each with placeholders."""
    path = re.sub(r"\{[^}]*\}", "{}", path)
    if path.endswith("/") or "." not in path.split("/")[-1]:
        paths = paths | {"/".join(other.split("/")[: path.rstrip("/").count("/") + 1]) for other in paths}
    path = path.rstrip("/")
    return any(
        re.fullmatch(pattern(other), path.replace("{}", "x"))
        or re.fullmatch(pattern(path) + r"(\.\w+)*", other.replace("{}", "x"))
        for other in paths
    )


def test_a_wrong_path_is_found():
    assert is_written("results/benchmarks/probe/{model}/{dataset}.{shard}.speed.json", written())
    for path in ("results/benchmarks/probe/*.speed.json", "results/figure/", "results/tables/top3_{model}.parquet"):
        assert not is_written(path, written()), path


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "results/README.md"]
DOCUMENTS += sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("document", [*DOCUMENTS, "config/README.md"])
def test_paths_of_results_are_right(document):
    assert {path for path in named(document) if not is_written(path, written())} == set()
