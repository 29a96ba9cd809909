"""`python -m discreteness.pin NAME… [--table FILE] [--check]`: write the newest commit of rows' `repo` into the table.

Only `revision` is written: comments and layout stay, and the edited table must read as the old one plus the new
revisions, or nothing is written. The text is edited at the positions of PyYAML's nodes: a round trip through
ruamel.yaml changes line ends and indentation and drops comments in flow rows, and its positions lack the values' ends.
"""

import argparse
import re
from pathlib import Path

import yaml

from discreteness.core.command_line import entry_point
from discreteness.core.errors import InputError
from discreteness.core.io import atomic
from discreteness.hub.download import resolve
from discreteness.workflow.yaml_files import read_yaml


def pin(text: str, name: str, commit: str) -> str:
    """A YAML table's text with `revision: commit` in the row `name`, which has a `repo`; all else is unchanged.

    Block rows get a line after `repo`, flow rows (`{...}`) a pair after it; an existing revision is replaced.
    Raises InputError where the edit would change more than this row (an alias, a merged key).
    """
    # a commit that happens to read as a number is quoted
    pair = f"revision: {commit if yaml.safe_load(commit) == commit else repr(commit)}"
    refusal = InputError(f"{name}: the row cannot be edited without changing more than it; write `{pair}` by hand")
    row = _keys(yaml.compose(text, yaml.SafeLoader)).get(name, (None, None))[1]
    keys = _keys(row)
    if "revision" in keys:
        key, value = keys["revision"]
        edited = text[: key.start_mark.index] + pair + text[value.end_mark.index :]
    elif "repo" in keys:
        key, value = keys["repo"]
        end = value.end_mark.index
        if row.flow_style:
            new = f", {pair}"
        else:
            end = re.compile(r"\r?\n|\Z").search(text, end).start()
            new = ("\r\n" if "\r\n" in text else "\n") + " " * key.start_mark.column + pair
        edited = text[:end] + new + text[end:]
    else:
        raise refusal
    before = yaml.safe_load(text)
    try:
        same = yaml.safe_load(edited) == {**before, name: {**before[name], "revision": commit}}
    except yaml.YAMLError:
        same = False
    if not same:
        raise refusal
    return edited


def _keys(node: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """The keys written in a mapping's text -> the nodes of key and value, with their positions in the text."""
    return {key.value: (key, value) for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def pin_table(table: Path, names: list[str], check: bool = False) -> list[str]:
    """Pin rows of a table to the newest commits of their repositories; one line `name: old -> new` for each.

    check: only report. All rows are edited, or none. Raises InputError for a name that is not a row, a row without
    `repo`, and whatever the hub refuses.
    """
    rows = read_yaml(table)
    with table.open(encoding="utf-8", newline="") as file:  # line ends are kept
        text = before = file.read()
    for name in names:
        if name not in rows:
            raise InputError(f"{table}: {name!r} is not a row (it has {', '.join(map(str, rows))})")
        if not isinstance(rows[name], dict) or not isinstance(rows[name].get("repo"), str):
            raise InputError(f"{table}: {name}: the row has no `repo`")
    lines = []
    for name in dict.fromkeys(names):
        row = rows[name]
        commit = resolve(row["repo"], "dataset" if "kind" in row else "model", None).sha
        lines.append(f"{name}: {row.get('revision', 'unpinned')} -> {commit}")
        if row.get("revision") != commit:
            try:
                text = pin(text, name, commit)
            except InputError as error:
                raise InputError(f"{table}: {error}") from None
    if text != before and not check:
        with atomic(table.resolve()) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
    return lines


@entry_point()
def main() -> None:
    """Pin the rows that the command line names, and print what changed."""
    parser = argparse.ArgumentParser(prog="python -m discreteness.pin", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="row of the table")
    parser.add_argument("--table", type=Path, default=Path("config/models.yaml"), help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="only report, write nothing")
    options = parser.parse_args()
    for line in pin_table(options.table, options.names, options.check):
        print(line)


if __name__ == "__main__":
    main()
