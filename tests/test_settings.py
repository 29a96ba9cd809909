"""The configuration: complete documentation, and one clear line for everything that is wrong."""

import re
from pathlib import Path

import pytest
import yaml

from discreteness.errors import InputError
from discreteness.settings import load_settings, read_yaml, schema, typed, validate

ROOT = Path(__file__).parents[1]
CONFIG = read_yaml(ROOT / "config" / "config.yaml")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def keys(node: dict, prefix: str = "") -> dict[str, str]:
    """Every key a schema allows -> its description."""
    found = {}
    rows = node.get("additionalProperties")
    for name, child in (node.get("properties") or (rows or {}).get("properties") or {}).items():
        found[prefix + name] = child.get("description")
        found.update(keys(child.get("items", child), f"{prefix}{name}."))
    return found


@pytest.mark.parametrize("name", ["config", "models", "datasets", "decoders"])
def test_every_key_is_described_and_listed_in_the_readme(name):
    text = (ROOT / "config" / "README.md").read_text()
    section = text.split(f"## {name}.yaml", 1)[1].split("\n## ", 1)[0]
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|$", section, re.M))
    assert listed == keys(schema(name))


def test_default_tables_and_paper_are_valid():
    load_settings(CONFIG)
    paper = read_yaml(ROOT / "config" / "paper.yaml")
    merged = {key: {**CONFIG[key], **value} if isinstance(value, dict) else value for key, value in paper.items()}
    load_settings({**CONFIG, **merged})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["lada"]}, r"config: models: 'lada' is not a row of config/models.yaml"),
        ({"datasets": ["dox"]}, r"config: datasets: 'dox' is not a row of config/datasets.yaml"),
        ({"modls": []}, r"'modls' was unexpected"),
        ({"probe": {**CONFIG["probe"], "spam": 1}}, r"config: probe: .*'spam' was unexpected"),
        ({"probe": {**CONFIG["probe"], "span": 0}}, r"config: probe.span: 0 is less than the minimum of 2"),
        ({"seed": "one"}, r"config: seed: 'one' is not of type 'integer'"),
        ({"device": "gpu"}, r"config: device: 'gpu' does not match"),
        ({"tables": {**CONFIG["tables"], "models": "no.yaml"}}, r"no.yaml: no such file"),
        (
            {"decode": {**CONFIG["decode"], "decoders": ["rnd"]}},
            r"decode.decoders: 'rnd' is not a row of config/decoders",
        ),
        (
            {"decode": {**CONFIG["decode"], "judge": "docs-base"}},
            r"decode.judge: docs-base is of family llada, not auto",
        ),
        ({"decode": {**CONFIG["decode"], "steps": [0]}}, r"config: decode.steps.0: 0 is less than the minimum of 1"),
        ({"language": {**CONFIG["language"], "models": ["no"]}}, r"config: language.models: 'no' is not a row"),
        (
            {"language": {**CONFIG["language"], "toys": ["no"]}},
            r"config: language.toys: 'no' is not a row",
        ),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(InputError, match=message) as error:
        load_settings({**CONFIG, **change})
    assert "\n" not in str(error.value)


def table(tmp_path, text, which="models"):
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    bare = {
        "decode": {**CONFIG["decode"], "decoders": []},
        "language": {**CONFIG["language"], "models": [], "toys": []},
    }
    return {**CONFIG, **bare, which: ["a"], "tables": {**CONFIG["tables"], which: str(path)}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {family: lada, path: x}", r"rows.yaml: a.family: 'lada' is not one of"),
        ("a: {family: llada, path: /nowhere}", r"rows.yaml: a.path: /nowhere: no such"),
        ("a: {family: llada, pth: x}", r"rows.yaml: a: .*'pth' was unexpected"),
        ("a: {family: llada}", r"rows.yaml: a: .*is not valid"),
        ("a: {family: llada, path: x, revision: main}", r"a.revision: 'main' does not match"),
        ("a: [", r"rows.yaml: not valid YAML"),
        ("- a", r"rows.yaml: expected a mapping, found list"),
        ("A b: {family: llada, path: x}", r"'A b' does not match"),
        ("a: {family: llada, train: {data: nothing}}", r"a.train: 'vocab_size' is a required property"),
    ],
)
def test_bad_model_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_settings(table(tmp_path, text))


def test_unknown_training_data(tmp_path):
    row = {**read_yaml(ROOT / "config" / "models.yaml")["docs-mini"]}
    row["train"] = {**row["train"], "data": "nothing"}
    with pytest.raises(InputError, match=r"rows.yaml: a.train.data: 'nothing' is not a row of config/datasets.yaml"):
        load_settings(table(tmp_path, yaml.safe_dump({"a": row})))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {kind: lima}", r"rows.yaml: a: .*is not valid"),
        ("a: {kind: docs}", r"rows.yaml: a: 'split' is a required property"),
        ("a: {kind: lima, path: /nowhere.jsonl}", r"rows.yaml: a.path: /nowhere.jsonl"),
    ],
)
def test_bad_dataset_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_settings(table(tmp_path, text, "datasets"))


def test_schemas_allow_no_unknown_keys():
    def closed(node):
        if node.get("type") == "object" and "properties" in node:
            assert node.get("additionalProperties") is False, node
        for child in node.values():
            if isinstance(child, dict):
                closed(child)

    for path in sorted((ROOT / "config" / "schemas").glob("*.yaml")):
        closed(yaml.safe_load(path.read_text()))


def test_validate_names_the_place():
    with pytest.raises(InputError, match=r"^here: probe.top_k: 0 is less"):
        validate({**CONFIG, "probe": {**CONFIG["probe"], "top_k": 0}}, "config", "here")


def test_numbers_given_as_text_in_nested_overrides():
    config = typed({**CONFIG, "probe": {**CONFIG["probe"], "span": "64"}, "device": "cpu"}, schema("config"))
    assert config["probe"]["span"] == 64 and config["device"] == "cpu"
    load_settings(config)
    with pytest.raises(InputError, match="probe.span: 'many' is not of type 'integer'"):
        load_settings(typed({**CONFIG, "probe": {**CONFIG["probe"], "span": "many"}}, schema("config")))
