"""The package's commands as shells, pipes and notebooks call them: help, one line for an error, a quiet end."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from discreteness import summary
from discreteness.core.command_line import BROKEN_PIPE, INTERRUPTED, amount, count
from discreteness.core.io import write_csv

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
COMMANDS = sorted(
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts)
    for path in (SCRIPTS / "discreteness").rglob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)
each_command = pytest.mark.parametrize("command", COMMANDS)


def python(*arguments, **options) -> subprocess.CompletedProcess:
    """What Python does with some arguments, its output buffered as it is for users."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), **options.pop("environment", {})}
    environment.pop("PYTHONUNBUFFERED", None)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, **options)


def test_every_command_is_tested():
    """A new one is found by its `__main__`, and this list says that the search still works."""
    names = ("curves.price", "pin", "plan", "summary", "workflow.cluster", "workflow.documentation")
    assert {f"discreteness.{name}" for name in names} == set(COMMANDS)


@each_command
def test_help(command, tmp_path):
    """Says how the command is called, does nothing, and does not wait for the large libraries."""
    result = python("-X", "importtime", "-m", command, "--help", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith(f"usage: python -m {command} [-h]")
    imported = [line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()]
    assert all(line.startswith("import time:") for line in result.stderr.splitlines())
    assert "argparse" in imported and not {"torch", "transformers", "matplotlib"}.intersection(imported)


@each_command
def test_a_reader_that_has_gone(command, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    result = python("-m", command, "--help", cwd=tmp_path, stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (BROKEN_PIPE, "")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A frequency-collapse table of one model and its rows."""
    rows = [
        ("007", "docs", position, statistic, variant, token_class, 0.5, 0.25, 1.0, 3)
        for position in summary.POSITIONS
        for statistic, variant, token_class in summary.ROWS.values()
    ]
    path = tmp_path_factory.mktemp("summary") / "table.csv"
    write_csv(pd.DataFrame(rows, columns=summary.COLUMNS), path)
    return path


def test_summary(table):
    result = python("-m", "discreteness.summary", table, table)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines.count("007 on docs, 3 prompts") == 2
    cells = " | ".join(["0.50 (0.25 to 1.00)"] * len(summary.POSITIONS))
    assert lines.count(f"| most probable token: EOS | {cells} |") == 2


def test_summary_of_some_of_the_rows(table, tmp_path):
    frame = summary.read(table)
    write_csv(frame[frame["statistic"] != "answer_top1"], tmp_path / "some.csv")
    result = python("-m", "discreteness.summary", tmp_path / "some.csv")
    assert f"| reference token is the most probable |{' – |' * len(summary.POSITIONS)}\n" in result.stdout


def test_a_reader_that_has_seen_enough(table):
    """More output than a pipe holds, one line of which is read."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    environment.pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-m", "discreteness.summary", *[str(table)] * 70]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"007 on docs, 3 prompts\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == BROKEN_PIPE


HEADER = ",".join(summary.COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("summary {table} none.csv", "none.csv: no such file"),
        (
            "summary {table} other.csv",
            "other.csv: lacks the column(s) dataset, high, low, position, prompts, statistic",
        ),
        ("summary words.csv", "words.csv: row 1: value = 'half' (expected a number)"),
        ("summary empty.csv", "empty.csv: no rows below the header"),
        ("summary table.parquet", "table.parquet: not a CSV table ("),
        ("summary .", ".: cannot be read (Is a directory)"),
        ("curves.price none.parquet", "none.parquet: no such file"),
        ("curves.price {table}", "{table}: not a table with columns ["),
        ("curves.price table.parquet", "table.parquet: not a table with columns ["),
        ("curves.price empty.parquet", "empty.parquet: no rows"),
        ("plan --results none", "none/probe/docs-base/docs.positions.parquet: no such file; run the workflow first"),
        ("plan --results . --measured a b c", "probe/a/b.positions.parquet: not a table with columns ['prompt_id'] ("),
        ("plan --results . --measured a d c", "probe/a/d.positions.parquet: no rows, so no bytes per prompt"),
        ("plan --config none.yaml", "none.yaml: no such file"),
        ("pin name --table none.yaml", "none.yaml: no such file"),
        ("pin name --table .", ".: cannot be read (Is a directory)"),
        ("workflow.cluster", "squeue: not found, so no Slurm cluster can be used from this machine"),
    ],
)
def test_a_wrong_file_is_one_line(arguments, message, table, tmp_path):
    price = ["prompt_id", "padding", "replicate", "visible", "span", "weight", "position", "answer_logprob"]
    (tmp_path / "other.csv").write_text("model,value\na,1\n")
    (tmp_path / "words.csv").write_text(f"{HEADER}\na,docs,0,entropy,all,,half,,,3\n")
    (tmp_path / "empty.csv").write_text(HEADER + "\n")
    (tmp_path / "probe" / "a").mkdir(parents=True)
    (tmp_path / "probe/a/b.positions.parquet").write_text("PAR1")
    for name in ("empty.parquet", "probe/a/d.positions.parquet"):
        pd.DataFrame({column: [] for column in price}).to_parquet(tmp_path / name)
    pd.DataFrame({"prompt_id": ["a"]}).to_parquet(tmp_path / "table.parquet")
    command, *rest = arguments.format(table=table).split()
    result = python("-m", f"discreteness.{command}", *rest, cwd=tmp_path, environment={"PATH": str(tmp_path)})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message.format(table=table)}") and result.stderr.count("\n") == 1


@each_command
def test_an_unknown_option_is_refused(command, tmp_path):
    """With argparse's status and usage; `cluster` stops nothing."""
    result = python("-m", command, "--nothing", cwd=tmp_path, environment={"PATH": str(tmp_path)})
    assert (result.returncode, result.stdout) == (2, "") and f"python -m {command}: error: " in result.stderr


def main_that(does: str, **options) -> tuple[int, str, str]:
    """Status, output and errors of a command whose main function prints a line and does something."""
    code = "import os, signal, sys\nfrom discreteness.core.command_line import entry_point\n"
    code += "from discreteness.core.errors import InputError\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell's `&` switches off
    code += f"@entry_point()\ndef main():\n    print('half')\n    {does}\nmain()\n"
    result = python("-c", code, **options)
    return result.returncode, result.stdout, result.stderr


def test_control_c():
    assert main_that("signal.raise_signal(signal.SIGINT)") == (INTERRUPTED, "half\n", "")


def test_errors():
    """One line for what users can put right, after what was printed; a traceback for a fault of the program."""
    assert main_that("raise InputError('a.csv: odd\\nvalue')") == (1, "half\n", "error: a.csv: odd value\n")
    assert main_that("open('none/a.csv')") == (1, "half\n", "error: none/a.csv: No such file or directory\n")
    assert main_that("sys.exit(3)") == (3, "half\n", "")
    status, out, err = main_that("1 / 0")
    assert (status, out) == (1, "half\n") and err.startswith("Traceback") and "ZeroDivisionError" in err


def test_odd_outputs():
    """A full disk, none at all, and one that cannot show a character."""
    with open("/dev/full", "w") as full:
        assert main_that("pass", stdout=full)[::2] == (1, "error: No space left on device\n")
    closed = main_that("os.write(2, b'went on')", preexec_fn=lambda: os.close(1), stdout=None)
    assert closed[::2] == (0, "went on")
    assert main_that("print('±')", environment={"PYTHONIOENCODING": "ascii"}) == (0, "half\n\\xb1\n", "")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_counts(text):
    assert count("16") == 16
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"{text!r} (expected a whole number of 1 or more)")):
        count(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_amounts(text):
    assert amount("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"{text!r} (expected a number above 0)")):
        amount(text)


NOTEBOOK = "module://matplotlib_inline.backend_inline"


@pytest.mark.parametrize(
    ("module", "backend"), [("figures.plotting", NOTEBOOK), ("figures.top3", NOTEBOOK), ("figures.plotting", "tkagg")]
)
def test_figures_do_not_depend_on_the_backend_of_a_notebook(module, backend, tmp_path):
    """Whichever is imported first; a notebook names its backend to all that it starts, installed there or not."""
    code = f"import discreteness.{module}\nfrom discreteness.figures.plotting import Figure, save_figure, use_style\n"
    code += "use_style()\nsave_figure(Figure(), 'a.pdf', 'a.png')\n"
    code += "import matplotlib.pyplot as plt\nplt.figure()\nassert plt.get_backend() == 'agg'\n"
    result = python("-c", code, cwd=tmp_path, environment={"MPLBACKEND": backend})
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png"]


def test_matplotlib_is_imported_after_its_backend_is_chosen():
    """By `plotting`, or by a module of `figures`, a package that imports `plotting` first."""
    importing = re.compile(r"^\s*(?:import|from) matplotlib", re.M)
    files = [path.relative_to(SCRIPTS / "discreteness") for path in (SCRIPTS / "discreteness").rglob("*.py")]
    files = [path for path in files if importing.search((SCRIPTS / "discreteness" / path).read_text("utf-8"))]
    assert {str(path) for path in files if path.parts[0] != "figures"} == set()
    assert not [path for path in SCRIPTS.glob("*.py") if importing.search(path.read_text("utf-8"))]
