"""YAML files, read strictly: numbers as in YAML 1.2, no key twice, every error in one line."""

import re
from pathlib import Path

import yaml

from discreteness.core.errors import InputError


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
    """The value of a YAML text; ValueError where it is none, or a key is there twice or is no text."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


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
    except ValueError as error:
        raise InputError(f"{path}: not valid YAML ({str(error)[:200]})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a mapping, found {type(value).__name__}")
    return value
