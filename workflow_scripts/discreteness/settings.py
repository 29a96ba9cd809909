"""Configuration: read, validated against the schemas, refused with one line that names file, key and value."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jsonschema
import yaml

from discreteness.denoisers import check_family
from discreteness.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "config" / "schemas"


def read_yaml(path: str | Path) -> dict:
    """A YAML mapping; InputError when the file is missing, malformed or something else."""
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
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
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error is not None:
        keys = ".".join(map(str, error.absolute_path))
        raise InputError(f"{where}: {keys + ': ' if keys else ''}{error.message}")


def typed(value: object, node: Mapping) -> object:
    """A value with numbers where the schema wants numbers: Snakemake reads `--config 'probe={span: 64}'` as text."""
    if isinstance(value, Mapping):
        children = node.get("properties", {})
        return {key: typed(child, children.get(key, {})) for key, child in value.items()}
    kinds = node.get("type", [])
    wants_number = not {"integer", "number"}.isdisjoint([kinds] if isinstance(kinds, str) else kinds)
    return yaml.safe_load(value) if isinstance(value, str) and wants_number else value


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
        "decoders": {"decode.decoders": decode["decoders"], "language.decoders": language["decoders"]},
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
                    known = ", ".join(tables[table])
                    raise InputError(f"config: {where}: {name!r} is not a row of {path} (it has {known})")
        rows[table] = {name: tables[table][name] for names in wanted.values() for name in names}
    models, datasets = rows["models"], rows["datasets"]
    for name, row in models.items():
        if "train" in row and row["train"]["data"] in tables["datasets"]:
            datasets[row["train"]["data"]] = tables["datasets"][row["train"]["data"]]
        elif "train" in row and "path" not in row:
            raise InputError(
                f"{config['tables']['models']}: {name}.train.data: {row['train']['data']!r} is not a row of "
                f"{config['tables']['datasets']}"
            )
        try:
            check_family(row)
        except InputError as error:
            raise InputError(f"{config['tables']['models']}: {name}.{error}") from None
    if (judge := decode["judge"]) in models and models[judge]["family"] != "autoregressive":
        raise InputError(f"config: decode.judge: {judge} is of family {models[judge]['family']}, not autoregressive")
    _check_paths(models, config["tables"]["models"])
    _check_paths(datasets, config["tables"]["datasets"])
    return Tables(models, datasets, rows["decoders"])


def _check_paths(rows: Mapping[str, Mapping], table: str) -> None:
    for name, row in rows.items():
        if "path" in row and not Path(row["path"]).exists():
            raise InputError(f"{table}: {name}.path: {row['path']}: no such file or folder")
