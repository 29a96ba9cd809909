"""Prompts from rows, and what is wrong with a file said with its line."""

import json

import pytest

from discreteness.datasets import load_dataset
from discreteness.errors import InputError
from discreteness.io import read_table, write_table


def test_toy():
    frame = load_dataset("toy", {"kind": "toy"})
    assert list(frame["answer"]) == ["He likes apple", "I play tennis"]
    assert list(frame["prompt_id"]) == ["toy-00000", "toy-00001"]


def write(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return {"kind": "lima", "path": str(path)}


GOOD = {"conversations": ["Why?", "Because.", "And then?"], "source": "made up"}


def test_lima_layout(tmp_path):
    frame = load_dataset("mine", write(tmp_path / "a.jsonl", GOOD, GOOD))
    assert frame.iloc[1].tolist() == ["mine-00001", 1, "Why?", "Because.", "made up"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "not valid JSON"),
        ({"conversations": "Why?"}, "list of strings"),
        (["Why?"], "expected an object"),
        ({"conversations": ["Why?"]}, "has 1 turns"),
        ({"conversations": ["  ", "Because."]}, "empty prompt"),
        ({"conversations": ["Why?", ""]}, "empty answer"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    with pytest.raises(InputError, match=rf"a.jsonl:2: .*{message}"):
        load_dataset("mine", write(tmp_path / "a.jsonl", GOOD, line))


def test_missing_file_and_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="b.jsonl: no such file"):
        load_dataset("mine", {"kind": "lima", "path": str(tmp_path / "b.jsonl")})
    with pytest.raises(InputError, match="kind = 'lema'"):
        load_dataset("mine", {"kind": "lema"})


def test_tables_keep_their_comments_and_bytes(tmp_path):
    import pyarrow.parquet as pq

    frame = load_dataset("toy", {"kind": "toy"})
    write_table(frame, tmp_path / "a.parquet")
    write_table(frame, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("answer").metadata[b"comment"] == b"the reference answer"
    assert read_table(tmp_path / "a.parquet").equals(frame.astype({"row": "int32"}))
    with pytest.raises(InputError, match="columns"):
        read_table(tmp_path / "a.parquet", ["nothing"])
