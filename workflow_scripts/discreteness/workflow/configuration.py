"""A run: its configuration with the rows it uses, checked, and what follows from them for every rule."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from discreteness.core.errors import InputError
from discreteness.core.rows import Row
from discreteness.decoding.rows import REFERENCE, DecoderRow, is_adaptive, needs_recomputing
from discreteness.denoisers.rows import LOADING
from discreteness.languages import get_language
from discreteness.workflow.rows import Configuration, DatasetRow, ModelRow
from discreteness.workflow.yaml_files import parse_yaml, read_yaml

ROOT = Path(__file__).resolve().parents[3]
# Table -> the characters that may stand in the names of its rows, which are names of files
NAMES = {"models": "a-z0-9.-", "datasets": "a-z0-9.-", "decoders": "a-z0-9_.-"}


@dataclass(frozen=True)
class Run:
    """A configuration with the rows that it names, and those of data that its models are trained on."""

    settings: Configuration
    models: dict[str, ModelRow]
    datasets: dict[str, DatasetRow]
    decoders: dict[str, dict]

    @cached_property
    def masked_models(self) -> list[str]:
        """Measured models whose answers are decoded from masks."""
        return [name for name in self.settings.models if self.models[name].traits.masks]

    @cached_property
    def decoders_and_reference(self) -> list[str]:
        """Decoders of text, and the reference answers beside them."""
        return [*self.settings.decode.decoders, REFERENCE]

    @cached_property
    def measured_curves(self) -> list[tuple[str, str]]:
        """(model, data set) of text of which the information curve is shown."""
        texts = [name for name in self.settings.datasets if not self.is_language(name)]
        return [(model, text) for model in self.masked_models for text in texts if self.settings.curve.prompts]

    @cached_property
    def toys(self) -> dict[str, list[str]]:
        """Toy language -> the models of it whose strings are enumerated."""
        languages: dict[str, list[str]] = {}
        for model in self.settings.language.toys:
            row = self.models[model]
            name = row.language or self.datasets[row.train.data].language_name
            languages.setdefault(name, []).append(model)
        return languages

    @cached_property
    def language_name(self) -> str | None:
        """The known language that models decode; None where none does."""
        settings = self.settings.language
        return self.datasets[settings.dataset].language_name if settings.models else None

    def is_language(self, dataset: str) -> bool:
        """Whether a data set is a language whose sentences are all known, after no prompt."""
        return self.datasets[dataset].traits.is_language

    def loading(self, model: str) -> dict:
        """What of a model's row decides how it is loaded, defaults left out."""
        return self.models[model].given(*LOADING)

    def family_module(self, model: str) -> str:
        """The module of a model's family, which is imported by name."""
        return f"denoisers.{self.models[model].family}"

    def kind_module(self, dataset: str) -> str:
        """The module of a data set's kind, which is imported by name."""
        return f"datasets.{self.datasets[dataset].traits.module}"

    def probe(self, dataset: str) -> dict:
        """Settings of the probe of a data set, the example its own."""
        return {**self.settings.probe.model_dump(), "example": self.example(dataset)}

    def example(self, dataset: str) -> int:
        """Row number of the prompt that a data set's top-3 figure shows."""
        own = self.datasets[dataset].example
        return self.settings.probe.example if own is None else own

    def training_data(self, model: str) -> str | None:
        """The data set that a model was trained on, where that is known and among this run's rows."""
        train = self.models[model].train
        return train.data if train and train.data in self.datasets else None

    @cached_property
    def training_texts(self) -> list[str]:
        """The data sets that measured models were trained on, where they are known."""
        return sorted({*map(self.training_data, self.masked_models)} - {None})

    def adaptive(self, decoders: list[str]) -> list[str]:
        """Those of some decoders that have an adaptive number of steps."""
        return [name for name in decoders if is_adaptive(self.decoders[name])]

    def decoding(self, dataset: str) -> dict:
        """Steps, temperatures, prompts, samples, span and example of decoding a data set.

        A language's sentences follow no prompt: many are drawn after the empty one, as long as the longest sentence
        (`span` None).
        """
        settings = self.settings
        if self.is_language(dataset):
            drawn = settings.language.model_dump(include={"steps", "temperatures", "samples"})
            return {**drawn, "prompts": 1, "span": None, "example": 0}
        drawn = settings.decode.model_dump(include={"steps", "prompts", "samples", "span"})
        return {**drawn, "temperatures": [], "example": self.example(dataset)}

    def curve(self, dataset: str) -> dict:
        """Prompts, modes, span and example of the information curve of a data set; of a language, of its sentences."""
        settings = self.settings.curve
        if self.is_language(dataset):
            length = get_language(self.datasets[dataset].language_name).length
            return {"prompts": settings.sentences, "modes": ["padded"], "span": length, "example": 0}
        prompts = max(1, settings.prompts)  # a decoder may need a curve where none is shown
        return {"prompts": prompts, "modes": settings.modes, "span": settings.span, "example": self.example(dataset)}

    def curve_models(self, dataset: str) -> list[str]:
        """Models whose curve is shown on a data set."""
        return self.settings.language.models if self.is_language(dataset) else self.masked_models

    def oracles(self, dataset: str) -> list[str]:
        """Those of a data set's `curve_models` that are exact."""
        return [model for model in self.curve_models(dataset) if self.models[model].family == "oracle"]

    def priced_steps(self, dataset: str) -> list[int]:
        """Numbers of steps whose price is shown for a data set."""
        return self.settings.language.steps if self.is_language(dataset) else self.settings.curve.steps

    def needed_curve(self, wildcards: Any) -> str | list[str]:
        """The information curve of wildcards model and dataset, where decoder takes its step sizes from it."""
        if self.decoders.get(wildcards.decoder, {}).get("step_sizes") != "optimal":
            return []
        return f"results/curves/{wildcards.model}/{wildcards.dataset}.parquet"

    def needs_recomputing(self, decoder: str) -> bool:
        """Whether a decoder's log-probabilities at reveal are computed again; the reference answers have none."""
        return decoder != REFERENCE and needs_recomputing(self.decoders[decoder])

    def forbidden(self, decoder: str) -> list[str]:
        """Tokens that a decoder never draws, by name."""
        return self.decoders.get(decoder, {}).get("forbid", [])

    def used_decoders(self) -> dict[str, dict]:
        """Part of the configuration -> decoders, steps, temperatures and span that are asked of them."""
        settings = self.settings
        used = {"decode": {**settings.decode.model_dump(), "temperatures": []}}
        if self.language_name:
            used["language"] = {**settings.language.model_dump(), "span": get_language(self.language_name).length}
        return used


def load_run(config: Mapping) -> Run:
    """The run of a merged configuration.

    config: as Snakemake merged it from config.yaml, `--configfile` and `--config`. Raises InputError, one line that
    names file, key and value, for an unknown key, model, data set or decoder, a value out of range, or a missing local
    file.
    """
    settings = Configuration.read(config, "config", parse=parse_yaml)
    paths = settings.tables.model_dump()
    tables = {
        "models": _typed_table("models", paths["models"], ModelRow),
        "datasets": _typed_table("datasets", paths["datasets"], DatasetRow),
        "decoders": _decoder_table(paths["decoders"]),
    }
    _check_names(tables, paths)
    rows = {name: _named_rows(table, tables[name], paths[name]) for name, table in _names(settings).items()}
    models, datasets = rows["models"], rows["datasets"]
    for name, row in models.items():
        if row.train and row.train.data in tables["datasets"]:
            datasets[row.train.data] = tables["datasets"][row.train.data]
        elif row.train and row.path is None:
            raise InputError(
                f"{paths['models']}: {name}.train.data: {row.train.data!r} is not a row of {paths['datasets']}"
            )
    _check_languages(settings, models, datasets)
    judge = settings.decode.judge
    if judge in models and models[judge].family != "autoregressive":
        raise InputError(f"config: decode.judge: {judge} is of family {models[judge].family}, not autoregressive")
    _check_paths(models, paths["models"], "a folder with config.json and *.safetensors", Path.is_dir)
    _check_paths(datasets, paths["datasets"], "a file of JSON lines", Path.is_file)
    return Run(settings, models, datasets, rows["decoders"])


def _typed_table(table: str, path: str, kind: type[Row]) -> dict:
    """The rows of a table; InputError for a name that cannot stand in file names and for every fault of a row."""
    return {name: kind.read(row, path, name) for name, row in _table(table, path).items()}


def _decoder_table(path: str) -> dict[str, dict]:
    """The rows of the decoder table; what they say is checked with the steps asked of them (`check_decoders`)."""
    return {
        name: {key: value for key, value in row.items() if value is not None or key not in DecoderRow.model_fields}
        if isinstance(row, Mapping)
        else row
        for name, row in _table("decoders", path).items()
    }


def _table(table: str, path: str) -> dict:
    """The rows of a table, whose names can stand in file names."""
    rows, allowed = read_yaml(path), NAMES[table]
    pattern = f"^[a-z0-9][{allowed}]*$"
    for name in rows:
        if not re.match(pattern, name):
            wrong = sorted(set(re.sub(f"[{allowed}]", "", name)))
            fault = " and ".join(map(repr, wrong)) + " cannot stand in it" if wrong else "it must begin with a-z or 0-9"
            raise InputError(f"{path}: the name {name!r} does not match {pattern}: {fault} (allowed: {allowed})")
    return rows


def _names(settings: Configuration) -> dict[str, dict[str, list[str]]]:
    """Table -> key of the configuration -> the rows that it names."""
    decode, language = settings.decode, settings.language
    return {
        "models": {
            "models": settings.models,
            "decode.judge": [decode.judge] if decode.judge and decode.decoders else [],
            "language.models": language.models,
            "language.toys": language.toys,
        },
        "datasets": {
            "datasets": settings.datasets,
            "language.dataset": [language.dataset] if language.models else [],
        },
        "decoders": {
            "decode.decoders": decode.decoders,
            "language.decoders": language.decoders if language.models else [],
        },
    }


def _named_rows(names: Mapping[str, list[str]], table: Mapping, path: str) -> dict:
    """The rows that the configuration names; InputError, with the nearest name, for one that the table lacks."""
    for key, wanted in names.items():
        for name in wanted:
            if name not in table:
                nearest = get_close_matches(name, table, 1)
                guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
                raise InputError(f"config: {key}: {name!r} is not a row of {path} (it has {', '.join(table)}){guess}")
    return {name: table[name] for wanted in names.values() for name in wanted}


def _check_languages(
    settings: Configuration, models: Mapping[str, ModelRow], datasets: Mapping[str, DatasetRow]
) -> None:
    """Raise InputError for a data set that is no known language, and for models that cannot be of the one they name."""
    dataset = settings.language.dataset
    if settings.language.models and not datasets[dataset].traits.is_language:
        raise InputError(
            f"config: language.dataset: {dataset} is of kind {datasets[dataset].kind}, which is no known language"
        )
    for part in ("models", "toys"):
        for name in getattr(settings.language, part):
            row, where = models[name], f"config: language.{part}: {name}"
            if not row.traits.masks:
                raise InputError(f"{where} is of family {row.family}, which does not decode masks")
            data = datasets.get(row.train.data) if row.train else None
            if part == "toys" and row.language is None and (data is None or data.kind != "toy"):
                raise InputError(
                    f"{where}: its row does not say which toy language it is of (`language`, or `train.data` a toy)"
                )


# What the names of results end in after the name of a row, by table
ENDINGS = {
    "models": ("state",),
    "datasets": ("positions", "tokens", "information", "provenance", "salience", "shards"),
    "decoders": ("rescored", "judged", "worst", "shards"),
}


def _check_names(tables: Mapping[str, Mapping], paths: Mapping[str, str]) -> None:
    """Raise InputError for a row whose results would have the names of another's, and for a reserved name."""
    if REFERENCE in tables["decoders"]:
        raise InputError(
            f"{paths['decoders']}: {REFERENCE}: the name is taken by the reference answers; choose another"
        )
    for table, endings in ENDINGS.items():
        for name in tables[table]:
            first, _, last = name.rpartition(".")
            if first and (last in endings or (last.isdigit() and table != "models" and first in tables[table])):
                raise InputError(f"{paths[table]}: {name}: its results would take names of {first!r}'s")


def _check_paths(rows: Mapping, table: str, expected: str, fits: Callable[[Path], bool]) -> None:
    for name, path in _paths(rows):
        try:
            exists = path.exists()
        except OSError:  # too long a name
            exists = False
        if not exists:
            raise InputError(f"{table}: {name}.path: {path}: no such file or folder")
        if not fits(path):
            kind = "a folder" if path.is_dir() else "a file"
            raise InputError(f"{table}: {name}.path: {path} is {kind} (expected {expected})")


def _paths(rows: Mapping) -> Iterator[tuple[str, Path]]:
    return ((name, Path(row.path)) for name, row in rows.items() if row.path)
