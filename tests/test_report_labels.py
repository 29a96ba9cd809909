"""Snakemake's HTML report of many runs: every caption is complete, every section can be opened.

The reports are Snakemake's own, of the real rules; the figures in them are empty files, as no job has to run for that.
"""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snakemake.report.html_reporter
import yaml

import tiny
from discreteness.workflow.figures import FIGURES
from project import ROOT, Project

# For each configuration file, in a process of its own that starts with Snakemake loaded, what its report would show:
# "category/subcategory" -> figures. A caption's value that does not exist or is empty is an error here, where a user's
# report would show nothing in its place.
REPORT = """
import functools, json, os, sys
import jinja2, snakemake.cli
from snakemake.report.html_reporter import Reporter

def render(self):
    sections = {f"{category.name}/{subcategory.name}": [
        {"path": str(found.path), "labels": found.labels, "caption": found.caption} for found in figures
    ] for category, subcategories in self.results.items() for subcategory, figures in subcategories.items()}
    with open(self.settings.path, "w") as file:
        json.dump(sections, file)

def shown(value):
    if value is None or value == "":
        raise ValueError("an empty value")
    return value

Reporter.render = render
jinja2.Environment = functools.partial(jinja2.Environment, undefined=jinja2.StrictUndefined, finalize=shown)
for config in sys.argv[1:]:
    child = os.fork()
    if not child:
        snakemake.cli.main(["--configfile", config, "--report", config.replace(".yaml", ".html"), "--cores", "1"])
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{config}: no report")
"""
MODELS = ("one", "two", "causal", "canvas")  # two masked models, one autoregressive, one with random tokens
DATASETS = ("questions", "more")
# Numbers of models and data sets, whether the languages are there, and whether text is decoded and its curves measured.
# Only the first section depends on the number of models.
RUNS = [
    *itertools.product((1, 2, 4), (1, 2), (True,), (True,)),
    *((1, datasets, *rest) for datasets in (1, 2) for rest in ((True, False), (False, True), (False, False))),
]
LARGEST = RUNS.index((4, 2, True, True))


def settings(models: int, datasets: int, language: bool, text: bool) -> dict:
    """The configuration of one of RUNS."""
    known = {"models": ["grammar-oracle"], "decoders": ["random"], "toys": ["toy-oracle"]}
    return {
        "models": MODELS[:models],
        "datasets": DATASETS[:datasets],
        "probe": {"span": 8, "prompts": 6, "example": 3},
        "decode": {"decoders": ["random"] if text else [], "judge": None, "steps": [1], "span": 8},
        "curve": {"prompts": 6 if text else 0, "span": 8},
        "language": known if language else {"models": [], "toys": []},
        "tables": {name: f"{name}.yaml" for name in ("models", "datasets", "decoders")},
    }


def figure_files(models, datasets) -> set[str]:
    """The PNG of every figure that the rules can make of some models and data sets."""
    patterns = [f"results/figures/{figure.stem}.png" for figure in FIGURES]
    pairs = list(itertools.product(models, datasets))
    return {pattern.format(model=model, dataset=dataset) for model, dataset in pairs for pattern in patterns}


def switches(figures: list[dict]) -> list[str]:
    """The labels that the report turns into a switch: `getData` of Snakemake's `abstract_results.js`."""
    names = list(dict.fromkeys(name for figure in figures for name in figure["labels"]))
    found = []
    for name in names[1:]:
        values = [figure["labels"][name] for figure in figures if name in figure["labels"]]
        if len(set(values)) == 2 and all(2 * values.count(value) == len(figures) for value in set(values)):
            found.append(name)
    return found


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report of each of RUNS, and last that of the paper's setting."""
    project = Project(tmp_path_factory.mktemp("report") / "copy")
    tiny.write_transformers(project.folder / "weights/causal", "gpt2")
    tiny.write_transformers(project.folder / "weights/canvas", "diffusion_gemma")
    project.models.update(
        {
            "causal": {"family": "autoregressive", "path": "weights/causal"},
            "canvas": {"family": "diffusion_gemma", "path": "weights/canvas"},
            **{f"{name}-oracle": {"family": "oracle", "language": name} for name in ("toy", "grammar")},
        }
    )
    project.datasets.update({"more": project.datasets["questions"], "grammar": {"kind": "grammar"}})
    project.decoders = {"random": {"order": "random"}}
    project.write()
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    configs = {f"run{number}.yaml": run for number, run in enumerate([*(settings(*run) for run in RUNS), paper])}
    for name, config in configs.items():
        (project.folder / name).write_text(json.dumps(config))
    made = figure_files(MODELS, (*DATASETS, "grammar")) | figure_files(paper["models"], paper["datasets"])
    (project.folder / "results/figures").mkdir(parents=True)
    for path in made:
        (project.folder / path).write_bytes(b"")
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow_scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", REPORT, *configs]
    result = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    return [json.loads((project.folder / name).with_suffix(".html").read_text()) for name in configs]


def test_the_rule_is_still_snakemakes():
    """Where this fails, `switches` is no copy of Snakemake's rule any more."""
    folder = Path(snakemake.report.html_reporter.__file__).parent / "template/components"
    script = " ".join((folder / "abstract_results.js").read_text().split())
    assert "labels.slice(1).forEach(function (label)" in script
    assert "uniqueValues.length == 2 &&" in script
    assert "filter(v => v === value).length === results.length / 2" in script


def test_the_rule_finds_a_switch():
    """One model, one data set, labels in columns: the model's figure, and one of all models."""
    columns = [{"figure": "top 3", "model": "one", "data": "docs"}, {"figure": "all", "model": "all", "data": "docs"}]
    assert switches([{"labels": labels} for labels in columns]) == ["model"]


def test_no_section_has_a_switch(reports):
    for run, report in zip([*RUNS, "paper"], reports, strict=True):
        for section, figures in report.items():
            assert switches(figures) == [], f"{run}: {section}"


def test_a_label_names_one_figure(reports):
    """Of two figures with the same labels a section shows one."""
    for report in reports:
        for figures in report.values():
            labels = [tuple(figure["labels"].values()) for figure in figures]
            assert len(set(labels)) == len(labels) and all(map(all, labels))


def test_the_largest_report_has_every_figure(reports):
    found = {figure["path"] for figures in reports[LARGEST].values() for figure in figures}
    possible = figure_files(MODELS, (*DATASETS, "grammar"))
    of_text = r"/(top3|frequency_collapse|incoherence|information_decay)_(.*_)?grammar\.png"  # a language has none
    assert found == {path for path in possible if not re.search(of_text, path)}


def plain(caption: str) -> str:
    """A caption's text without its markup."""
    return " ".join(re.sub(r"<[^>]+>", "", caption).split())


def test_captions_are_complete(reports):
    """Undefined and empty values have ended the report before; here none is a whole object, and the markup is right."""
    for figure in itertools.chain(*(figures for report in reports for figures in report.values())):
        text = plain(figure["caption"])
        assert len(text) > 500 and not re.search(r"system-message|\*\*|[{}]|&lt;|Namedlist|\( *;", text), text


def test_the_example_is_named_and_masks_only_where_there_are_any(reports):
    captions = {figure["path"]: plain(figure["caption"]) for figures in reports[LARGEST].values() for figure in figures}
    masked, causal, canvas = (
        captions[f"results/figures/top3_{model}_questions.png"] for model in ("one", "causal", "canvas")
    )
    assert masked.startswith(
        "What one predicts in a single forward pass for the 8 masks after one prompt of questions "
        "(row 3; shown at the top, cut where it is long). a, the nearest"
    )
    assert "the 8 positions after one prompt" in causal
    assert "autoregressive and has no masks: at each position it has read the reference answer" in causal
    assert "the 8 positions after one prompt" in canvas and "random tokens stand at these positions" in canvas
    together = captions["results/figures/frequency_collapse_questions.png"]
    assert "one, two, causal, canvas" in together
    assert "one forward pass each. causal is autoregressive and has no masks" in together
    assert "canvas has no masks" in together and "several draws of them. Lines are means" in together
