"""The configuration: complete documentation, and one clear line for everything that is wrong."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from discreteness.core.errors import InputError
from discreteness.workflow.configuration import load_run
from discreteness.workflow.documentation import FILES, descriptions, documents
from discreteness.workflow.rows import Configuration
from discreteness.workflow.yaml_files import parse_yaml, read_yaml

ROOT = Path(__file__).parents[1]
CONFIG = read_yaml(ROOT / "config" / "config.yaml")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", documents(), ids=str)
def test_what_is_generated_from_the_typed_rows_is_up_to_date(path):
    """`python -m discreteness.workflow.documentation` writes it."""
    assert (ROOT / path).read_text() == documents()[path]


@pytest.mark.parametrize("name", FILES)
def test_every_key_is_described_and_listed_in_the_readme(name):
    text = (ROOT / "config" / "README.md").read_text()
    section = text.split(f"## {name}.yaml", 1)[1].split("\n## ", 1)[0]
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|$", section, re.M))
    assert listed == dict(descriptions(FILES[name][1])) and all(listed.values())


def test_default_tables_and_paper_are_valid():
    load_run(CONFIG)
    paper = read_yaml(ROOT / "config" / "paper.yaml")
    merged = {key: {**CONFIG[key], **value} if isinstance(value, dict) else value for key, value in paper.items()}
    load_run({**CONFIG, **merged})


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
        (
            {"language": {**CONFIG["language"], "dataset": "docs"}},
            r"language.dataset: docs is of kind docs, which is no",
        ),
        ({"shard_size": 0}, r"config: shard_size: 0 is less than the minimum of 1"),
        ({"shard_size": True}, r"config: shard_size: True is not of type 'integer'"),
        ({"probe": {**CONFIG["probe"], "span": "1"}}, r"config: probe.span: 1 is less than the minimum of 2"),
        ({"decode": {**CONFIG["decode"], "steps": ["1", "x"]}}, r"decode.steps.1: 'x' is not of type 'integer'"),
        ({"decode": {**CONFIG["decode"], "steps": ["4", "4"]}}, r"decode.steps: \[4, 4\] has non-unique elements"),
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
        load_run({**CONFIG, **change})
    assert "\n" not in str(error.value)


def table(tmp_path, text, which="models"):
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    bare = {
        "decode": {**CONFIG["decode"], "decoders": []},
        "language": {**CONFIG["language"], "models": [], "toys": []},
    }
    return {**CONFIG, **bare, which: ["a"], "tables": {**CONFIG["tables"], which: str(path)}}


def test_unknown_training_data(tmp_path):
    row = {**read_yaml(ROOT / "config" / "models.yaml")["docs-mini"]}
    row["train"] = {**row["train"], "data": "nothing"}
    with pytest.raises(InputError, match=r"rows.yaml: a.train.data: 'nothing' is not a row of config/datasets.yaml"):
        load_run(table(tmp_path, yaml.safe_dump({"a": row})))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {kind: lima}", r"rows.yaml: a: .*is not valid"),
        ("a: {kind: lima, path: ''}", r"rows.yaml: a.path: '' has fewer than 1 characters"),
        ("a: {kind: docs}", r"rows.yaml: a: 'split' is a required property"),
        ("a: {kind: lima, path: /nowhere.jsonl}", r"rows.yaml: a.path: /nowhere.jsonl"),
        ("a: {kind: lima, path: config}", r"a.path: config is a folder .expected a file of JSON lines"),
        ("a.salience: {kind: toy}\na: {kind: toy}", r"a.salience: its results would take names of 'a'"),
        ("a.3: {kind: toy}\na: {kind: toy}", r"a.3: its results would take names of 'a'"),
    ],
)
def test_bad_dataset_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_run(table(tmp_path, text, "datasets"))


@pytest.mark.parametrize("name", FILES)
def test_an_editor_with_the_schema_accepts_the_projects_own_files(name):
    """And refuses a key that does not exist, wherever one may stand."""
    schema = yaml.safe_load((ROOT / f"config/schemas/{name}.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    table = read_yaml(ROOT / f"config/{name}.yaml")
    assert not list(validator.iter_errors(table))
    assert list(validator.iter_errors({**table, "probe": {"spam": 1}} if name == "config" else {"a": {"spam": 1}}))


def test_numbers_given_as_text_in_nested_overrides():
    run = load_run({**CONFIG, "probe": {**CONFIG["probe"], "span": "64"}, "device": "cpu"})
    assert run.settings.probe.span == 64 and run.settings.device == "cpu"
    with pytest.raises(InputError, match="probe.span: 'many' is not of type 'integer'"):
        load_run({**CONFIG, "probe": {**CONFIG["probe"], "span": "many"}})


# ---- what first users wrote


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
        ("a: {family: llada, path: x}\na: {family: dream}", r"line 2: 'a' is there twice, first in line 1"),
        ("a: {family: llada, path: config, path: tests}", r"line 1: 'path' is there twice"),
        ("1.5: {family: llada, path: config}", r"line 1: the name 1.5 is not read as text; put it in quotes"),
        ("yes: {family: llada, path: config}", r"the name yes is not read as text"),
        ("a: {family: llada, path: config, context_lenght: 4}", r"did you mean 'context_length'"),
        ("a: {family: llada}", r"not valid without a source: it needs `path` or `repo` or `train` or `lan"),
        ("my model: {family: llada, path: config}", r"the name 'my model' does not match .*: ' ' cannot stand in it"),
        ("Übung: {family: llada, path: config}", r"'Ü' cannot stand in it"),
        ("-a: {family: llada, path: config}", r"must begin with a-z or 0-9"),
        ("a: {family: llada, path: README.md}", r"a.path: README.md is a file .expected a folder with config.json"),
        ("a: {family: llada, path: config, tokens_per_second: .inf}", r"inf is not a finite number"),
        ("a: llada", r"'llada' is not of type 'object'"),
        ("a: {family: llada, path: null}", r"a: the row is not valid without a source"),
        ("a: {family: llada, path: ''}", r"a.path: '' has fewer than 1 characters"),
        ("a:", r"None is not of type 'object'"),
        ("a: {family: llada, canvases: 2, path: config}", r"a.canvases: family llada has no such setting"),
        ("a.state: {family: llada, path: x}\na: {family: llada, path: x}", r"its results would take names of 'a'"),
    ],
)
def test_model_rows_as_first_users_write_them(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        load_run(table(tmp_path, text))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_names_with_dots_that_are_no_others(tmp_path):
    (tmp_path / "q.jsonl").write_text("")
    load_run(table(tmp_path, f"q.v2: {{kind: lima, path: {tmp_path}/q.jsonl}}\na: {{kind: toy}}", "datasets"))


def test_home_in_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    run = load_run(table(tmp_path, "a: {family: llada, path: ~/weights}"))
    assert run.models["a"].path == str(tmp_path / "weights")


def test_a_table_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match=r"rows.yaml: cannot be read"):
        (tmp_path / "rows.yaml").mkdir()
        read_yaml(tmp_path / "rows.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: Stra\xdfe".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.yaml: not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")


def test_numbers_as_yaml_1_2_reads_them(tmp_path):
    (tmp_path / "n.yaml").write_text("a: 1e-3\nb: 2.5E+2\nc: 1_000\nd: 010\ne: .5\nf: -3\ng: 1.\n")
    read = read_yaml(tmp_path / "n.yaml")
    assert (read["a"], read["b"], read["e"], read["f"], read["g"]) == (0.001, 250.0, 0.5, -3, 1.0)
    assert (read["c"], read["d"]) == ("1_000", 10)


def test_merged_rows_may_repeat_keys(tmp_path):
    (tmp_path / "m.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a}\n")
    assert read_yaml(tmp_path / "m.yaml")["b"] == {"x": 3, "y": 2}


def test_lists_and_null_given_as_text():
    """What Snakemake makes of --config 'decode={steps: [1, 4, 16], judge: null}' and of others."""
    decode = {**CONFIG["decode"], "steps": ["1", "4", "16"], "judge": "null", "decoders": ["random"]}
    language = {**CONFIG["language"], "temperatures": ["1.0", "5e-1"], "models": []}
    settings = load_run({**CONFIG, "decode": decode, "language": language, "shard_size": "7"}).settings
    assert settings.decode.steps == [1, 4, 16] and settings.decode.judge is None
    assert settings.language.temperatures == [1.0, 0.5] and settings.shard_size == 7
    assert settings.decode.decoders == ["random"]
    given = {**CONFIG, "shard_size": "auto", "models": ["7"], "decode": {**CONFIG["decode"], "steps": "[1, 2]"}}
    read = Configuration.read(given, "config", parse=parse_yaml)
    assert (read.shard_size, read.models, read.decode.steps) == ("auto", ["7"], [1, 2])


def test_a_decoder_table_for_one_part_only(tmp_path):
    """`language.decoders` keeps its default names, which no language asks for."""
    (tmp_path / "decoders.yaml").write_text("mine: {order: random}\n")
    config = {
        **CONFIG,
        "decode": {**CONFIG["decode"], "decoders": ["mine"]},
        "language": {**CONFIG["language"], "models": [], "toys": []},
        "tables": {**CONFIG["tables"], "decoders": str(tmp_path / "decoders.yaml")},
    }
    assert list(load_run(config).decoders) == ["mine"]
    (tmp_path / "decoders.yaml").write_text("reference: {order: random}\nmine: {order: random}\n")
    with pytest.raises(InputError, match="reference: the name is taken by the reference answers"):
        load_run(config)


def test_an_unknown_name_is_told_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'docs-base'"):
        load_run({**CONFIG, "models": ["docs-bse"]})


@pytest.mark.parametrize(
    ("part", "row", "message"),
    [
        (
            "models",
            "{family: autoregressive, path: config}",
            "language.models: a is of family autoregressive",
        ),
        (
            "toys",
            "{family: autoregressive, path: config}",
            "language.toys: a is of family autoregressive",
        ),
        ("toys", "{family: llada, path: config}", "language.toys: a: its row does not say which toy language it is of"),
    ],
)
def test_models_of_languages(tmp_path, part, row, message):
    config = table(tmp_path, f"a: {row}")
    config["language"] = {**config["language"], part: ["a"]}
    with pytest.raises(InputError, match=message):
        load_run(config)
