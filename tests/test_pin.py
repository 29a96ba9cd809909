"""Pinning edits one value of a table and nothing else; the commits come from a hub on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discreteness.core.errors import InputError
from discreteness.pin import pin
from hub_server import Hub, Repo

ROOT = Path(__file__).parents[1]
A, B = "0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"

BLOCK = """# A table.
one:   # a row
  family: llada
  repo: org/one   # its home
  sha256:
    config.json: 00ff # a hash

two: {kind: lima, repo: org/two, licence: "CC, {or not}"} # flow
three:
    # the other
    family: dream
    repo: 'org/three'
    revision: {old} # pinned
    dtype: bfloat16
four: {repo: org/four, revision: {old}, kind: lima}
five:
  kind: lima
  repo: org/five""".replace("{old}", A)


def replaced(old: str, new: str) -> str:
    assert BLOCK.count(old) == 1
    return BLOCK.replace(old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one", "  repo: org/one   # its home\n", f"  repo: org/one   # its home\n  revision: {B}\n"),
        ("two", "repo: org/two,", f"repo: org/two, revision: {B},"),
        ("three", f"    revision: {A} # pinned\n", f"    revision: {B} # pinned\n"),
        ("four", f"revision: {A}, kind", f"revision: {B}, kind"),
        ("five", "  repo: org/five", f"  repo: org/five\n  revision: {B}"),
    ],
)
def test_rows(name, old, new):
    assert pin(BLOCK, name, B) == replaced(old, new)


def test_line_ends_stay():
    text = "one:\r\n  repo: org/one # home\r\n  family: llada\r\n"
    assert pin(text, "one", B) == text.replace("home\r\n", f"home\r\n  revision: {B}\r\n")


def test_flow_row_over_lines():
    text = "one: {\n  repo: org/one, # home\n  kind: lima,\n}\n"
    assert pin(text, "one", B) == text.replace("org/one,", f"org/one, revision: {B},")


def test_empty_revision():
    text = "one:\n  revision:\n  repo: org/one\n"
    assert pin(text, "one", B) == text.replace("revision:", f"revision: {B}")


@pytest.mark.parametrize("commit", ["1" * 40, "0" * 40, "0" + "7" * 39])
def test_commit_that_reads_as_a_number(commit):
    assert yaml.safe_load(pin(BLOCK, "one", commit))["one"]["revision"] == commit


@given(
    commit=st.text("0123456789abcdef", min_size=40, max_size=40),
    name=st.sampled_from(["one", "two", "three", "four", "five"]),
    flow=st.sampled_from([None, True, False]),
    width=st.integers(10, 120),
)
def test_reads_as_before_but_for_the_revision(commit, name, flow, width):
    """Whatever the layout; a second pin of the same commit changes nothing, and the comments are all still there."""
    table = yaml.safe_load(BLOCK)
    text = BLOCK if flow is None else yaml.safe_dump(table, default_flow_style=flow, width=width)
    text = "#c\n" + text
    edited = pin(text, name, commit)
    assert yaml.safe_load(edited) == {**table, name: {**table[name], "revision": commit}}
    assert pin(edited, name, commit) == edited
    assert edited.count("#") == text.count("#")


def test_value_over_lines():
    text = "one:\n  repo: |-\n    org/one\n  family: llada\n"
    assert yaml.safe_load(pin(text, "one", B)) == {"one": {"repo": "org/one", "family": "llada", "revision": B}}


@pytest.mark.parametrize(
    "text",
    [
        "base: &base {repo: org/one}\none: *base\n",
        "base: &base {repo: org/one}\none:\n  <<: *base\n  family: llada\n",
        "one: &one {repo: org/one}\ntwo:\n  <<: *one\n",
    ],
)
def test_rows_that_share_their_text(text):
    """An edit that would change another row is refused; the user writes it."""
    with pytest.raises(InputError, match=rf"\Aone: the row cannot be edited .*; write `revision: {B}` by hand\Z"):
        pin(text, "one", B)


# ---- the command


@pytest.fixture(scope="module")
def hub():
    weights = {"config.json": b"{}", "model.safetensors": b""}
    repos = [Repo(f"org/{name}", "model", weights, {**weights, "new": b""}) for name in ("one", "three")]
    repos += [Repo(f"org/{name}", "dataset", {"train.jsonl": b""}) for name in ("two", "four", "five")]
    with Hub(*repos) as hub:
        yield hub


@pytest.fixture
def command(hub, tmp_path):
    """Runs the command on a table: (status, lines of output, error)."""
    table = tmp_path / "config" / "models.yaml"
    table.parent.mkdir()
    table.write_text(BLOCK)

    def run(*arguments: str):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
        environment |= {"PYTHONPATH": str(ROOT / "workflow_scripts"), "HF_ENDPOINT": hub.url}
        command = [sys.executable, "-m", "discreteness.pin", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines(), done.stderr

    run.table = table
    return run


def test_command(command, hub):
    """A model row, a data set row, one that has an old revision; only reported first, then written."""
    newest = {name.removeprefix("org/"): repo.main for (_, name), repo in hub.repos.items()}
    expected = [
        f"one: unpinned -> {newest['one']}",
        f"two: unpinned -> {newest['two']}",
        f"three: {A} -> {newest['three']}",
    ]
    assert command("one", "two", "three", "--check") == (0, expected, "")
    assert command.table.read_text() == BLOCK
    assert command("one", "two", "three") == (0, expected, "")
    text = BLOCK
    for name in ("one", "two", "three"):
        text = pin(text, name, newest[name])
    assert command.table.read_text() == text
    assert [path.name for path in command.table.parent.iterdir()] == ["models.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "nine"], "config/models.yaml: 'nine' is not a row (it has one, two, three, four, five)"),
        (["one", "--table", "missing.yaml"], "missing.yaml: no such file"),
        (["one", "gone"], "org/gone: no such model on the hub"),
        (["one", "bare"], "config/models.yaml: bare: the row has no `repo`"),
        (["one", "merged"], "config/models.yaml: merged: the row cannot be edited without changing more than it"),
    ],
)
def test_command_refuses(command, arguments, message):
    """One line, status 1, nothing written, whatever the other rows."""
    text = BLOCK + "\ngone: {repo: org/gone}\nbare: {family: llada}\nmerged: {<<: {repo: org/one}}\n"
    command.table.write_text(text if "nine" not in arguments else BLOCK)
    before = command.table.read_text()
    status, lines, error = command(*arguments)
    assert (status, lines) == (1, [])
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert command.table.read_text() == before
