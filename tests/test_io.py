"""Files are written whole or not at all, and tidy tables are read as they were written."""

import errno
import logging
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from discreteness.core.columns import COLUMNS
from discreteness.core.errors import InputError
from discreteness.core.io import CSV_TEXT, atomic, read_csv, write_csv, write_json, write_table

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.json"
    write_json({"old": 1}, target)
    with pytest.raises(ValueError), atomic(target) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert target.read_text() == '{\n "old": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no disk space left"), atomic(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_every_column_is_documented_beside_the_results():
    text = (Path(__file__).parents[1] / "results" / "README.md").read_text()
    section = text.split("## Columns of the Parquet tables", 1)[1].split("\n## ", 1)[0]
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|$", section, re.M))
    assert listed == {name: column.comment for name, column in COLUMNS.items()}


ODD = ["\r", "\n", "\r\n", '"', "a,b", "\0", "\ufeff", "#", " ", ""]
NOT_NUMBERS = ["007", "1.5", "1e5", "NA", "null", "nan", "None", "True"]
TEXT = st.one_of(
    st.sampled_from(ODD + NOT_NUMBERS),
    st.text(st.one_of(st.sampled_from("\r\n\",\0 \t'#\\0"), st.characters(exclude_categories=["Cs"])), max_size=6),
)
# As results have them: neither -0 nor what hardly fits into a number
NUMBER = st.one_of(
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0]),
    st.floats(1e-30, 1e30),
    st.floats(-1e30, -1e-30),
    st.integers(-9, 9).map(float),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that examples overwrite."""
    return tmp_path_factory.mktemp("csv") / "a.csv"


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBER, TEXT, TEXT, TEXT), min_size=1, max_size=5), st.integers(1, 4), st.booleans())
@example([(0.0, token, "\r", "007") for token in (" ", "\r", "", "NA", "a")], 1, False)
def test_text_survives_a_tidy_table(path, rows, width, with_number):
    """Any text, in one to three columns of it; numbers beside it keep nine digits, and written again the bytes stay."""
    frame = pd.DataFrame(rows, columns=["value", "token", "model", "text"]).iloc[:, 0 if with_number else 1 : width + 1]
    write_csv(frame, path)
    read = read_csv(path, frame.columns)
    for name in frame.columns.intersection(["token", "model", "text"]):
        assert list(read[name]) == list(frame[name])
    if with_number:
        assert read["value"].to_numpy(float) == pytest.approx(frame["value"].to_numpy(), rel=1e-8, abs=0, nan_ok=True)
    written = path.read_bytes()
    write_csv(read, path)
    assert path.read_bytes() == written


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, NUMBER, TEXT), max_size=5))
def test_only_a_carriage_return_is_quoted_that_pandas_does_not_quote(path, rows):
    frame = pd.DataFrame(rows, columns=["token", "value", "text"])
    write_csv(frame.replace("\r", "␍", regex=True), path)
    without = frame.replace("\r", "␍", regex=True).to_csv(index=False, float_format="%.9g", lineterminator="\n")
    assert path.read_bytes() == without.encode()


def test_the_bytes_of_a_tidy_table(tmp_path):
    frame = pd.DataFrame(
        {"token": ["\r", "007", "a\nb", 'a"b'], "steps": [1, 2, 3, 4], "value": [1 / 3, 1, np.nan, 1e-9]}
    )
    write_csv(frame, tmp_path / "a.csv")
    expected = b'token,steps,value\n"\r",1,0.333333333\n007,2,1\n"a\nb",3,\n"a""b",4,1e-09\n'
    assert (tmp_path / "a.csv").read_bytes() == expected


def test_types_of_a_tidy_table(tmp_path):
    """Numbers are numbers, truth values are that; what lacks rows does not make text of the numbers of others."""
    path = tmp_path / "a.csv"
    path.write_text("model,steps,value,padding,group\n1,1,,True,4\nNA,2,0.5,False,noun\n")
    table = read_csv(path)
    assert table["model"].tolist() == ["1", "NA"] and table["group"].tolist() == ["4", "noun"]
    assert table["steps"].dtype == int and table["padding"].dtype == bool
    assert table["value"].dtype == float and np.isnan(table["value"][0])
    path.write_text("model,steps,value,padding,group\n")
    joined = pd.concat([read_csv(path), table])
    assert joined["value"].dtype == float and joined["steps"].tolist() == [1, 2]


def test_a_table_from_a_spreadsheet(tmp_path):
    """Windows' line ends, a byte order mark and a blank line at the end."""
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfmodel,value\r\n007,1\r\nb,2\r\n\r\n")
    assert read_csv(tmp_path / "a.csv", ["model", "value"]).to_dict("list") == {"model": ["007", "b"], "value": [1, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "empty, expected a table"),
        (b"PAR1\xff\0", "not a CSV table ('utf-8' codec can't decode byte 0xff in position 4: invalid start byte)"),
        (
            b"model,value\na,1\nb,1,2\n",
            "not a CSV table (Error tokenizing data. C error: Expected 2 fields in line 3, ",
        ),
        (b"model,value\na,1,2\n", "not a CSV table (its rows have more fields than its header)"),
        (b'model,value\n"a,1\n', "not a CSV table (Error tokenizing data. C error: EOF inside string"),
        (b"model;value\na;1\n", "lacks the column(s) model, value"),
        (b"model,value\na,1\na,b\n", "row 2: value = 'b' (expected a number)"),
    ],
)
def test_what_is_no_tidy_table_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")) as caught:
        read_csv(path, ["model", "value"])
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_tidy_table(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_csv(tmp_path)


def test_a_column_of_text_that_would_be_read_as_numbers_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="colour: text, so to be named in discreteness.core.io.CSV_TEXT"):
        write_csv(pd.DataFrame({"model": ["a"], "colour": ["007"]}), tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
    assert {"token", "answer_token", "prompt", "text", "model", "decoder", "schedule"} <= CSV_TEXT


def test_tidy_tables_are_read_in_one_way():
    """`read_csv` of pandas makes 7 of 007 and nothing of NA."""
    files = [path for path in SCRIPTS.rglob("*.py") if re.search(r"(pd|pandas)\.read_csv", path.read_text("utf-8"))]
    assert [path.name for path in files] == ["io.py"]


class Files(dict):
    """A job's inputs or outputs."""

    __getattr__ = dict.__getitem__


def run_script(name, tmp_path, input, output, **params):
    """Run a workflow script as Snakemake does."""
    parameters = SimpleNamespace(settings=params)
    job = SimpleNamespace(input=Files(input), output=output, params=parameters, log=[str(tmp_path / "log")])
    try:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), init_globals={"snakemake": job})
    finally:
        logging.captureWarnings(False)


def test_joined_examples_keep_their_tokens(tmp_path):
    """Two shards' worst combinations, one of which has none: the rows and the tokens stay what they were."""
    columns = "steps temperature prompt_id sample position step step_size regret token text".split()
    tokens = ["007", "NA", "\r", "00", "null"]
    rows = [(1, 1, f"q-{i}", 0, i, 0, 8, 9.0 - i, token, f"[[{token}]]") for i, token in enumerate(tokens)]
    for number, part in enumerate((rows, [])):
        write_csv(pd.DataFrame(part, columns=columns), tmp_path / f"{number}.csv")
        write_table(pd.DataFrame({"prompt_id": [row[2] for row in part]}), tmp_path / f"{number}.parquet")
    paths = {kind: [tmp_path / f"{number}.{kind}" for number in range(2)] for kind in ("csv", "parquet")}
    output = Files(tokens=tmp_path / "all.parquet", examples=tmp_path / "all.csv")
    run_script("rescore", tmp_path, {"parts": paths["parquet"], "example_parts": paths["csv"]}, output, examples=9)
    assert output.examples.read_bytes() == (tmp_path / "0.csv").read_bytes()


def test_measured_prices_keep_the_names_of_models(tmp_path):
    names = ["007", "1.5", "NA", "null"]
    numbers = {"value": 0.5, "low": 0.25, "high": 1.0, "answers": 6}
    columns = {"model": names, "decoder": names[::-1], "steps": 1, "statistic": "regret", **numbers}
    write_csv(pd.DataFrame(columns), tmp_path / "a.csv")
    files = {"curves": [], "incoherence": [tmp_path / "a.csv"]}
    output = [tmp_path / "b.csv"]
    run_script("price_of_parallelism_table", tmp_path, files, output, models=[], steps=[1], seed=0, language=None)
    lines = output[0].read_text().splitlines()
    assert lines[0] == "model,padding,statistic,schedule,steps,value,low,high,prompts"
    assert lines[1:] == [f"{a},True,regret,{b},1,0.5,0.25,1,6" for a, b in zip(names, names[::-1], strict=True)]
