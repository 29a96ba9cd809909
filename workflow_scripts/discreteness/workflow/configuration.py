"""Configuration: read, validated against the schemas, refused with one line that names file, key and value."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import jsonschema
import yaml

from discreteness.core.errors import InputError
from discreteness.denoisers import check_family, family_of

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "config" / "schemas"


class _Loader(yaml.SafeLoader):
    """YAML as its version 1.2 reads numbers (1e-3 is one), with every key once and every key a text."""

    def compose_mapping_node(self, anchor):
        """The mapping as it stands in the text, before `<<` adds another's keys."""
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                raise yaml.YAMLError(f"line {line}: the name {key.value} is not read as text; put it in quotes")
            if key.value in seen:
                raise yaml.YAMLError(f"line {line}: {key.value!r} is there twice, first in line {seen[key.value]}")
            seen[key.value] = line
        return node


_TAG = "tag:yaml.org,2002:"
_NUMBERS = {  # YAML 1.2's core schema; the first that matches counts
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list("-+0123456789."))
_Loader.add_constructor(_TAG + "int", lambda loader, node: int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10))


def parse_yaml(text: str) -> object:
    """The value of a YAML text; yaml.YAMLError where it is none, or a key is there twice or is no text."""
    return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)


def read_yaml(path: str | Path) -> dict:
    """A YAML mapping; InputError when the file is missing, malformed or something else."""
    try:
        value = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.object[error.start]:#04x} at {error.start})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a mapping, found {type(value).__name__}")
    return value


@cache
def schema(name: str) -> dict:
    """The JSON schema `config/schemas/{name}.schema.yaml`."""
    return read_yaml(SCHEMAS / f"{name}.schema.yaml")


def validate(value: Mapping, schema_name: str, where: str) -> None:
    """Raise InputError for the most telling violation of a schema: `where: key: what is wrong`."""
    validator = jsonschema.Draft202012Validator(schema(schema_name))
    errors = list(validator.iter_errors(value))
    misspelt = [error for error in errors if error.validator == "additionalProperties"]
    error = jsonschema.exceptions.best_match(misspelt or errors)
    if error is not None:
        keys = ".".join(map(str, error.absolute_path))
        raise InputError(f"{where}: {keys + ': ' if keys else ''}{_explained(error)}")
    for keys, number in _numbers(value):
        if not math.isfinite(number):
            raise InputError(f"{where}: {keys}: {number} is not a finite number")


def _explained(error: jsonschema.ValidationError) -> str:
    """What is wrong in one line: with the nearest valid key, the sources a row may have, the characters of a name."""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        nearest = [match for key in error.instance if key not in known for match in get_close_matches(key, known, 1)]
        guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return error.message + (guess or f" (expected {', '.join(known)})")
    if error.validator == "anyOf" and all(set(option) == {"required"} for option in error.validator_value):
        sources = " or ".join(f"`{option['required'][0]}`" for option in error.validator_value)
        return f"the row is not valid without a source: it needs {sources}"
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        allowed = "a-z0-9_.-" if "_" in error.validator_value else "a-z0-9.-"
        wrong = sorted(set(re.sub(f"[{allowed}]", "", error.instance)))
        fault = " and ".join(map(repr, wrong)) + " cannot stand in it" if wrong else "it must begin with a-z or 0-9"
        return f"the name {error.instance!r} does not match {error.validator_value}: {fault} (allowed: {allowed})"
    if error.validator == "type" and "object" in error.validator_value and not error.absolute_path:
        return f"expected a mapping, found {error.instance!r}"
    return error.message if len(error.message) < 300 else error.message[:300] + " …"


def _numbers(value: object, keys: str = "") -> Iterator[tuple[str, float]]:
    """(keys, number) of every number within mappings and lists."""
    if isinstance(value, float):
        yield keys, value
    children = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _numbers(child, f"{keys}.{key}" if keys else str(key))


def typed(value: object, node: Mapping) -> object:
    """A value with numbers, lists, booleans and null where a schema wants them, through lists and mappings.

    Snakemake reads what `--config` gives within braces as text: `'decode={steps: [1, 4], judge: null}'`.
    """
    options = [node, *node.get("anyOf", ())]
    kinds = {kind for option in options for kind in _kinds(option)}
    if isinstance(value, str):
        try:
            parsed = parse_yaml(value)
        except (yaml.YAMLError, ValueError):
            return value
        if not isinstance(parsed, str) and _json_kinds(parsed) & kinds:
            value = parsed
    if isinstance(value, Mapping):
        children = node.get("properties", {})
        return {key: typed(child, children.get(key, {})) for key, child in value.items()}
    if isinstance(value, list):
        items = next((option["items"] for option in options if "items" in option), {})
        return [typed(child, items) for child in value]
    return value


def _kinds(node: Mapping) -> list[str]:
    kinds = node.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _json_kinds(value: object) -> set[str]:
    """The schema types of a parsed value that is no text; any number may stand where a schema wants one of a kind."""
    if value is None or isinstance(value, bool):
        return {"null" if value is None else "boolean"}
    if isinstance(value, (int, float)):
        return {"integer", "number"}
    return {"array" if isinstance(value, list) else "object"}


@dataclass(frozen=True)
class Tables:
    """The rows that a run uses, by name."""

    models: dict[str, dict]
    datasets: dict[str, dict]
    decoders: dict[str, dict]


def load_settings(config: Mapping) -> Tables:
    """Validate a merged configuration and its tables; return the rows of what is chosen.

    config: as Snakemake merged it from config.yaml, `--configfile` and `--config`. Data sets that a model is trained on
    are among the rows. Raises InputError for an unknown key, model, data set or decoder, a value out of range, a
    decoder that does not fit its steps and span, or a missing local file.
    """
    validate(config, "config", "config")
    decode, language = config["decode"], config["language"]
    chosen = {
        "models": {
            "models": config["models"],
            "decode.judge": [decode["judge"]] if decode["judge"] and decode["decoders"] else [],
            "language.models": language["models"],
            "language.toys": language["toys"],
        },
        "datasets": {
            "datasets": config["datasets"],
            "language.dataset": [language["dataset"]] if language["models"] else [],
        },
        "decoders": {
            "decode.decoders": decode["decoders"],
            "language.decoders": language["decoders"] if language["models"] else [],
        },
    }
    tables, rows = {}, {}
    for table, wanted in chosen.items():
        path = config["tables"][table]
        tables[table] = read_yaml(path)
        if table != "decoders":  # `check_policy` does, and knows the orders
            validate(tables[table], table, path)
        for where, names in wanted.items():
            for name in names:
                if name not in tables[table]:
                    nearest = get_close_matches(name, tables[table], 1)
                    guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
                    known = ", ".join(tables[table])
                    raise InputError(f"config: {where}: {name!r} is not a row of {path} (it has {known}){guess}")
        rows[table] = {name: tables[table][name] for names in wanted.values() for name in names}
    for table in ("models", "datasets"):
        rows[table] = {name: _with_home(row) for name, row in rows[table].items()}
    models, datasets = rows["models"], rows["datasets"]
    _check_names(tables, config["tables"])
    for name, row in models.items():
        if "train" in row and row["train"]["data"] in tables["datasets"]:
            datasets[row["train"]["data"]] = _with_home(tables["datasets"][row["train"]["data"]])
        elif "train" in row and "path" not in row:
            raise InputError(
                f"{config['tables']['models']}: {name}.train.data: {row['train']['data']!r} is not a row of "
                f"{config['tables']['datasets']}"
            )
        try:
            check_family(row)
        except InputError as error:
            raise InputError(f"{config['tables']['models']}: {name}.{error}") from None
    _check_languages(config, models, datasets)
    if (judge := decode["judge"]) in models and models[judge]["family"] != "autoregressive":
        raise InputError(f"config: decode.judge: {judge} is of family {models[judge]['family']}, not autoregressive")
    _check_paths(models, config["tables"]["models"], "a folder with config.json and *.safetensors", Path.is_dir)
    _check_paths(datasets, config["tables"]["datasets"], "a file of JSON lines", Path.is_file)
    return Tables(models, datasets, rows["decoders"])


def _check_languages(config: Mapping, models: Mapping[str, Mapping], datasets: Mapping[str, Mapping]) -> None:
    """Raise InputError for a model of a language that has no masks, and for one of a toy that does not say of which."""
    for part in ("models", "toys"):
        for name in config["language"][part]:
            row, where = models[name], f"config: language.{part}: {name}"
            if not family_of(row).masks:
                raise InputError(f"{where} is of family {row['family']}, which does not decode masks")
            data = datasets.get(row.get("train", {}).get("data"), {})
            if part == "toys" and "language" not in row and data.get("kind") != "toy":
                raise InputError(
                    f"{where}: its row does not say which toy language it is of (`language`, or `train.data` a toy)"
                )


def _with_home(row: Mapping) -> dict:
    """The row with `~` in its path replaced by the home folder."""
    return {**row, "path": os.path.expanduser(row["path"])} if "path" in row else dict(row)


# What the names of results end in behind the name of a row, by table
ENDINGS = {
    "models": ("state",),
    "datasets": ("positions", "tokens", "information", "provenance", "salience", "shards"),
    "decoders": ("rescored", "judged", "worst", "shards"),
}


def _check_names(tables: Mapping[str, Mapping], paths: Mapping[str, str]) -> None:
    """Raise InputError for a row whose results would have the names of another's, and for a reserved name."""
    if "reference" in tables["decoders"]:
        raise InputError(f"{paths['decoders']}: reference: the name is taken by the reference answers; choose another")
    for table, endings in ENDINGS.items():
        for name in tables[table]:
            first, _, last = name.rpartition(".")
            if first and (last in endings or (last.isdigit() and table != "models" and first in tables[table])):
                raise InputError(f"{paths[table]}: {name}: its results would take names of {first!r}'s")


def _check_paths(rows: Mapping[str, Mapping], table: str, expected: str, fits: Callable[[Path], bool]) -> None:
    for name, row in rows.items():
        if "path" not in row:
            continue
        path = Path(row["path"])
        try:
            there = path.exists()
        except OSError:  # too long a name
            there = False
        if not there:
            raise InputError(f"{table}: {name}.path: {path}: no such file or folder")
        if not fits(path):
            kind = "a folder" if path.is_dir() else "a file"
            raise InputError(f"{table}: {name}.path: {path} is {kind} (expected {expected})")
