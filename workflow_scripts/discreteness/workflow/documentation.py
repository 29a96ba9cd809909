"""`python -m discreteness.workflow.documentation`: what typed rows and columns say, for people and editors.

Writes the tables of keys in `config/README.md` and of columns in `results/README.md`, and the JSON schemas in
`config/schemas/`; a test compares them.
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from discreteness.core.columns import COLUMNS
from discreteness.core.command_line import entry_point
from discreteness.core.io import atomic
from discreteness.core.rows import Row, rows_within
from discreteness.decoding.policies import POLICIES
from discreteness.decoding.rows import DecoderRow
from discreteness.workflow.configuration import NAMES, ROOT
from discreteness.workflow.rows import Configuration, DatasetRow, ModelRow

# File of config/ -> what it is, the typed value of the whole or of one row
FILES: dict[str, tuple[str, type[Row]]] = {
    "config": ("A run", Configuration),
    "models": ("The model table", ModelRow),
    "datasets": ("The data set table", DatasetRow),
    "decoders": ("The decoder table", DecoderRow),
}


def descriptions(row: type[Row], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(key, what it means, with its default), keys of mappings within after a dot."""
    defaults = {key: value for policy in POLICIES.values() for key, value in policy.defaults.items()}
    for key, field in row.model_fields.items():
        default = None if field.is_required() else field.default
        default = defaults.get(key) if default is None and row is DecoderRow else default
        shown = yaml.safe_dump(default).removesuffix("\n...\n").strip()
        yield prefix + key, field.description + (f" Default: `{shown}`." if default not in (None, {}, []) else "")
        for inner in rows_within(field.annotation):
            yield from descriptions(inner, f"{prefix}{key}.")


def with_table(text: str, heading: str, first: str, rows: Iterable[tuple[str, str]]) -> str:
    """A Markdown text whose first table below `## heading` has these rows, (name, meaning). first: heading of names."""
    table = f"| {first} | meaning |\n|---|---|\n" + "".join(f"| `{name}` | {meaning} |\n" for name, meaning in rows)
    section = re.compile(rf"(?<=\n## {re.escape(heading)}\n)([\s\S]*?)(?:^\|.*\n)+", re.M)
    return section.sub(lambda match: match[1] + table, text, count=1)


def json_schema(name: str) -> str:
    """The JSON schema of a file of config/, as YAML, for editors that complete and check keys."""
    title, row = FILES[name]
    schema = row.model_json_schema()
    definitions = schema.pop("$defs", {})
    if name != "config":
        names = {"pattern": f"^[a-z0-9][{NAMES[name]}]*$"}
        schema = {"type": "object", "propertyNames": names, "additionalProperties": schema}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
    if definitions:
        schema["$defs"] = definitions
    return yaml.safe_dump(_without_titles(schema), sort_keys=False, allow_unicode=True, width=120)


def _without_titles(node: object, top: bool = True) -> object:
    """A schema without the titles that only repeat a key's name."""
    if isinstance(node, list):
        return [_without_titles(part, top=False) for part in node]
    if not isinstance(node, dict):
        return node
    children = {key: value for key, value in node.items() if top or key != "title" or not isinstance(value, str)}
    return {key: _without_titles(value, top=False) for key, value in children.items()}


def documents() -> dict[Path, str]:
    """Path, relative to the project's folder -> text, of everything that is generated."""
    keys, columns = Path("config/README.md"), Path("results/README.md")
    of_keys, of_columns = ((ROOT / path).read_text(encoding="utf-8") for path in (keys, columns))
    for name, (_, row) in FILES.items():
        of_keys = with_table(of_keys, f"{name}.yaml", "key", descriptions(row))
    meanings = ((name, column.comment) for name, column in COLUMNS.items())
    of_columns = with_table(of_columns, "Columns of the Parquet tables", "column", meanings)
    schemas = {Path(f"config/schemas/{name}.schema.yaml"): json_schema(name) for name in FILES}
    return {keys: of_keys, columns: of_columns, **schemas}


@entry_point()
def main() -> None:
    """Write what has changed."""
    argparse.ArgumentParser(prog="python -m discreteness.workflow.documentation", description=__doc__).parse_args()
    for path, text in documents().items():
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text:
            with atomic(ROOT / path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
