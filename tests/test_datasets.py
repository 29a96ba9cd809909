"""Prompts from rows, and what is wrong with a file said with its line."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discreteness.core.errors import InputError
from discreteness.core.io import read_table, write_table
from discreteness.datasets import load_dataset


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"conversations": ["é", "à"]}'.encode("latin-1"), "not UTF-8 (byte 21 is 0xe9); expected the file in UTF-8"),
        ('{"conversations": ["a", "b"]}'.encode("utf-16-le"), "character 2 is NUL; expected text in UTF-8"),
        (b'{"conversations": ["a\0", "b"]}', "character 22 is NUL; expected text in UTF-8"),
        (rb'{"conversations": ["\ud800", "b"]}', r"prompt has half a character (\ud800, a lone surrogate)"),
        (rb'{"conversations": ["a", "\udc00\ud83d"]}', r"answer has half a character (\udc00, a lone surrogate)"),
        (rb'{"conversations": ["a", "b"], "source": "\udfff"}', r"source has half a character (\udfff, a lone surrog"),
        (b'{"conversations": ["a", "b"], "source": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b'{"conversations": ' + b"[" * 100_000, "lists or objects are nested too deeply"),
        (b'{"a":' * 100_000, "lists or objects are nested too deeply"),
        (b'{"conversations": ["a", "b"], "source": ["c"]}', "`source` is of type list, expected a string"),
        (
            b'{"conversations": ["a", "' + b"b" * 5000,
            "not valid JSON (Unterminated string starting at at character 25)",
        ),
        (
            b'{"conversations": ["a", "b"]}\r{"conversations": ["c", "d"]}',
            "not valid JSON (Extra data at character 31)",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_bytes_that_are_no_json_lines_are_one_short_line(tmp_path, name, line, message):
    content = json.dumps(GOOD).encode() + b"\n" + line + b"\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(InputError) as caught:
        load_dataset("mine", {"kind": "lima", "path": str(path)})
    assert str(caught.value).startswith(f"{path}:2: {message}")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 120


TEXT = b"".join(json.dumps({**GOOD, "source": str(i)}).encode() + b"\n" for i in range(9999))
GZIP = gzip.compress(TEXT, mtime=0)
# Name, content, and the message
NO_JSON_LINES = {
    "text": ("a.jsonl.gz", TEXT, r":1: cannot be read \(no whole gzip file: Not a gzipped file"),
    "cut": ("a.jsonl.gz", GZIP[:9999], r":[1-9]\d{3}: cannot be read \(no whole gzip file: Compressed file ended"),
    "checksum": ("a.jsonl.gz", GZIP[:-8] + bytes(8), r":10000: cannot be read \(no whole gzip file: CRC check failed"),
    "broken": ("a.jsonl.gz", GZIP[:10] + b"\xff" * 9, r":1: cannot be read \(no whole gzip file: Error -3 while"),
    "gzip": ("a.jsonl", GZIP, r":1: not UTF-8 \(byte 2 is 0x8b\); expected the file in UTF-8"),
    "empty": ("a.jsonl", b"", ": empty, expected one conversation per line"),
    "blank": ("a.jsonl", b"\xef\xbb\xbf\r\n \n", ": empty, expected one conversation per line"),
    "empty gzip": ("a.jsonl.gz", b"", ": empty, expected one conversation per line"),
    "folder": ("a.jsonl", None, ": a folder, expected a JSON-lines file"),
}


@pytest.mark.parametrize(("name", "content", "message"), NO_JSON_LINES.values(), ids=NO_JSON_LINES)
def test_files_that_are_no_json_lines_are_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"\A{path}{message}") as caught:
        load_dataset("mine", {"kind": "lima", "path": str(path)})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 150


@settings(deadline=None)
@given(
    st.lists(st.tuples(*2 * [st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip)]), min_size=1),
    *[st.booleans()] * 3,
    st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_every_text_is_read_as_it_stands(tmp_path_factory, pairs, ascii, mark, compressed, end):
    """Line and paragraph separators and lone carriage returns end no line; a byte order mark is no text."""
    text = end.join(json.dumps({"conversations": pair}, ensure_ascii=ascii) for pair in pairs)
    content = text.encode("utf-8-sig" if mark else "utf-8")
    path = tmp_path_factory.mktemp("texts") / ("a.jsonl.gz" if compressed else "a.jsonl")
    path.write_bytes(gzip.compress(content) if compressed else content)
    frame = load_dataset("mine", {"kind": "lima", "path": str(path)})
    assert list(zip(frame["prompt"], frame["answer"], strict=True)) == pairs
    assert list(frame["row"]) == list(range(len(pairs)))


def test_control_characters_may_stand_in_strings_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"conversations": ["a\rb\u2028c\td", "\\ud83d\\ude00"]}\n'.encode())
    frame = load_dataset("mine", {"kind": "lima", "path": str(tmp_path / "a.jsonl")})
    assert frame.loc[0, ["prompt", "answer"]].tolist() == ["a\rb\u2028c\td", "😀"]


@pytest.mark.parametrize(("source", "text"), [("x", "x"), (7, "7"), (None, "")])
def test_sources(tmp_path, source, text):
    frame = load_dataset("mine", write(tmp_path / "a.jsonl", {**GOOD, "source": source}))
    assert frame["source"].tolist() == [text]


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


def test_empty_prompts_are_left_out_where_asked(tmp_path, caplog):
    """The others keep the row numbers that their lines have."""
    turns = [["a", "b"], [" ", "b"], ["c", "d"], ["e", ""]]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"conversations": pair}) for pair in turns))
    with pytest.raises(InputError, match="a.jsonl:2: empty prompt .config: `empty_prompts: skip` goes on without"):
        load_dataset("q", {"kind": "lima", "path": str(path)})
    frame = load_dataset("q", {"kind": "lima", "path": str(path), "empty_prompts": "skip"})
    assert list(frame["row"]) == [0, 2] and list(frame["prompt_id"]) == ["q-00000", "q-00002"]
    assert "2 of 4 rows have an empty prompt or answer, skipped: 1, 3" in caplog.text
