"""Docstrings to prose, modules to questions, and what keeps the held-out rows out of the training rows."""

import logging
import os
import re
import subprocess
import sys
from itertools import combinations

import pytest

from discreteness.core.errors import InputError
from discreteness.datasets import docs, load_dataset
from discreteness.datasets.docstrings import MAX_WORDS, Pair, clean, pairs_of_module, pairs_of_package

SUM = "Return the sum of two given numbers."
LOST = "This last paragraph is not kept at all."


@pytest.mark.parametrize(
    ("docstring", "prose"),
    {
        "plain": (SUM, SUM),
        "full stop added": (SUM[:-1], SUM),
        "question": ("Is this the sum of two numbers?", "Is this the sum of two numbers?"),
        "indented paragraphs": (
            f"\n    Return the sum\n    of two given numbers.\n\n    {LOST}\n    ",
            f"{SUM} {LOST}",
        ),
        "numpy section": (
            f"{SUM}\n\n    Parameters\n    ----------\n    a : int\n        the first\n\n    {LOST}",
            SUM,
        ),
        "google section": (f"{SUM}\n\nArgs:\n    a: the first\n\n{LOST}", SUM),
        "section without a blank line": (f"{SUM}\nReturns:\n    the sum\n\n{LOST}", SUM),
        "unknown section": (f"{SUM}\n\nMore about sums\n~~~~~~~~~~~~~~~\n{LOST}", SUM),
        "title": (f"A title of five words\n=====================\n\n{LOST}", ""),
        "doctest": (f"{SUM}\n>>> add(1, 2)\n3\n\n{LOST}", SUM),
        "directive": (f"{SUM}\n\n.. versionadded:: 1.0\n   At last.\n\n{LOST}", SUM),
        "field": (f"{SUM}\n\n:param a: the first\n:returns: the sum\n\n{LOST}", SUM),
        "decorator": (f"{SUM}\n\n@cache\n\n{LOST}", SUM),
        "bullets": (f"{SUM}\n- one\n- two\n\n{LOST}", SUM),
        "numbers": (f"{SUM}\n\n1. one thing\n2. another thing\n\n{LOST}", SUM),
        "fence": (f"{SUM}\n\n```python\nadd(1, 2)\n```\n\n{LOST}", SUM),
        "indented code": (f"{SUM}\n    add(1, 2)\n\n{LOST}", SUM),
        "roles": (
            "Uses :class:`~pkg.sub.Name` and :py:meth:`other <pkg.x.other>` for the work.",
            "Uses Name and other for the work.",
        ),
        "back-quotes": ("Uses `one` and ``two`` for all of the work.", "Uses one and two for all of the work."),
        "links": (
            "Uses `text <https://a.b>`_ and [`Name`](link) for all of the work.",
            "Uses text and Name for all of the work.",
        ),
        "stress": ("Uses *one* and **two** for all of the work.", "Uses one and two for all of the work."),
        "dotted path": ("Calls pkg.sub.function on every single item.", "Calls function on every single item."),
        "signature": (f"add(a, b) -> int\n{SUM}", SUM),
        "signature apart": (f"pkg.add(a, b)\n\n{SUM}", SUM),
        "signature later on": (f"{SUM}\n\nadd(a, b)", f"{SUM} add(a, b)."),
        "address": (f"{SUM}\n\nSee https://example.org for more.\n\n{LOST}", SUM),
        "non-ASCII": (f"{SUM}\n\nIt is na\u00efve about sums.\n\n{LOST}", SUM),
        "non-ASCII first": (f"Na\u00efve sum of two given numbers.\n\n{LOST}", ""),
        "code": (f"{SUM}\n\nIt sets __name__ of it.\n\n{LOST}", SUM),
        "list introduced": (f"{SUM} It takes one of these:\n\n- one\n\n{LOST}", SUM),
        "only a list introduced": (f"Return the sum of one of these:\n\n- one\n\n{LOST}", ""),
        "too short": ("Return the sum now.", ""),
        "just long enough": ("Return the sum right now.", "Return the sum right now."),
        "hardly English": ("a1 + b2 - c3 * d4 and e5 over f6", ""),
        "nothing": ("", ""),
        "long": (" ".join([f"{SUM}"] * 30), " ".join([SUM] * (MAX_WORDS // 7))),
        "long sentence after a short one": (f"{SUM} {'word ' * MAX_WORDS}", SUM),
        "long sentence": ("word " * (MAX_WORDS + 1), ""),
        "exactly as long as allowed": ("word " * MAX_WORDS, "word " * (MAX_WORDS - 1) + "word."),
    }.values(),
)
def test_clean(docstring, prose):
    assert clean(docstring) == prose


MODULE = '''
"""Return nothing of use from the module itself."""

import os


class Shape(Base, Other):
    """A shape that has an area."""

    colour: str

    def __init__(self):
        """Make a shape out of nothing."""

    def scale(self, by, /, *others, about=0, twice: bool = False, **rest) -> float:
        """Make the shape larger or smaller."""

    @property
    def area(self) -> float:
        """How large the shape is now."""

    @functools.cached_property
    def edge(self):
        """How long the edge is now."""

    @classmethod
    def unit(cls, kind) -> "Shape":
        """A shape of exactly unit area."""

    def _grow(self, by):
        """Make the shape a bit larger."""

    def bare(self):
        return 1

    class Inner:
        """A class within another one here."""


class pkg_(pkg.Base):
    """A class with a dotted base."""


class _Hidden:
    """A class that nobody should see."""


def seven(a, b, c, d, e, f, g):
    """Add all of the seven numbers."""

    def nested():
        """Return something from deep within here."""


async def wait() -> None:
    """Wait for all of the rest."""


def _helper(x):
    """Help with all of the work."""


def __dunder__(x):
    """Do something magic with an argument."""


def short():
    """Too short."""


if True:

    def conditional():
        """Return what depends on a condition."""
'''


def test_pairs_of_a_module():
    of, where = "of class Shape in module m.n", "in module m.n"
    public = [
        (f"What is the class Shape {where}? It is a kind of Base.", "A shape that has an area."),
        (
            f"What does the method scale {of} do? It takes by, about, twice. It returns float.",
            "Make the shape larger or smaller.",
        ),
        (f"What is the property area {of}? It returns float.", "How large the shape is now."),
        (f"What is the property edge {of}?", "How long the edge is now."),
        (f"What does the method unit {of} do? It takes kind.", "A shape of exactly unit area."),
        (f"What is the class pkg_ {where}?", "A class with a dotted base."),
        ("What does the function seven in module m.n do? It takes a, b, c, d, e.", "Add all of the seven numbers."),
        ("What does the function wait in module m.n do?", "Wait for all of the rest."),
    ]
    private = [
        (f"What does the method _grow {of} do? It takes by.", "Make the shape a bit larger."),
        (f"What is the class _Hidden {where}?", "A class that nobody should see."),
        ("What does the function _helper in module m.n do? It takes x.", "Help with all of the work."),
    ]
    assert list(pairs_of_module(MODULE, "m.n")) == [Pair("m.n", *pair) for pair in public]
    found = list(pairs_of_module(MODULE, "m.n", private=True))
    assert sorted(found) == sorted(Pair("m.n", *pair) for pair in public + private)


@pytest.mark.parametrize(
    "source", ["def f(:\n", f'def f():\n    """{SUM}"""\n\x00', f'def f():\n  """{SUM}"""\n print']
)
def test_source_that_does_not_parse_gives_nothing(source):
    assert list(pairs_of_module(source, "m")) == []


def test_pairs_of_a_package(tmp_path):
    def write(name, first=b""):
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(first + f'def f():\n    """{SUM}"""\n'.encode())

    for name in ("__init__.py", "b.py", "a/__init__.py", "a/c.py", "_own.py", "a/_b/d.py", "latest.py"):
        write(name)
    for name in ("tests/x.py", "a/test_x.py", "_vendor/y.py", "a/conftest.py", "a/b_tests.py", "b.txt"):
        write(name)
    write("latin.py", b"# \xe9\n")
    (tmp_path / "pkg" / "unread.py").symlink_to("nowhere")

    def modules(**options):
        return [
            pair.module for pair in pairs_of_package(tmp_path / "pkg", lambda name: name == "pkg.unread", **options)
        ]

    public = ["pkg", "pkg._own", "pkg.a", "pkg.a.c", "pkg.b", "pkg.latest", "pkg.latin"]
    assert modules() == public
    assert sorted(modules(private=True)) == sorted([*public, "pkg.a._b.d"])  # what is in a private folder too
    assert [pair.module for pair in pairs_of_package(tmp_path / "pkg" / "b.py")] == ["b"]


def words(count: int, first: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(first, first + count))


@pytest.mark.parametrize(
    ("prompt", "answer", "copy"),
    {
        "same answer": ("new?", words(27), True),  # 27 words are 20 runs of eight
        "same words": ("new?", words(27).upper().replace(" ", ", ") + "!", True),
        "same prompt": ("known?", words(27, 500), True),
        "nothing shared": ("new?", words(27, 500), False),
        "seven words shared": ("new?", words(7) + " " + words(20, 500), False),
        "a fifth shared": ("new?", words(11) + " " + words(16, 500), True),  # 4 of 20 runs
        "less than a fifth shared": ("new?", words(10) + " " + words(17, 500), False),  # 3 of 20 runs
        "a fifth of the shorter": ("new?", words(8) + " " + words(4, 500), True),  # 1 of 5 runs
        "less than a fifth of the shorter": ("new?", words(8) + " " + words(5, 500), False),  # 1 of 6 runs
        "a fifth of two together": ("new?", words(9) + " x " + words(9, 100) + " " + words(8, 500), False),
        "short and within": ("new?", words(7), False),
        "short and known": ("new?", "Just these four words", True),
        "short and longer than known": ("new?", "Just these four words here", False),
    }.values(),
)
def test_near_copies(prompt, answer, copy):
    copies = docs.NearCopies()
    assert copies.add_if_new(Pair("m", "known?", words(27)))
    assert copies.add_if_new(Pair("m", "other?", words(27, 100)))
    assert copies.add_if_new(Pair("m", "short?", "just these four words."))
    assert copies.contains(Pair("m", prompt, answer)) is copy
    assert copies.add_if_new(Pair("m", prompt, answer)) is not copy
    assert copies.contains(Pair("m", prompt, answer))  # by now in any case


def runs(answer: str) -> frozenset[str]:
    """Eight words in a row, or the whole answer where it is shorter."""
    found = re.sub(r"[^a-z0-9]+", " ", answer.lower()).split()
    return frozenset(" ".join(found[i : i + 8]) for i in range(max(1, len(found) - 7)))


def share(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / min(len(one), len(other))


@pytest.fixture(scope="module")
def held_out():
    return docs._held_out()


@pytest.fixture
def built(held_out, monkeypatch):
    """Held-out rows built once, for tests that need no more than these."""
    monkeypatch.setattr(docs, "_held_out", lambda: held_out)
    return held_out


@pytest.fixture(scope="module")
def training(held_out):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docs, "_held_out", lambda: held_out)
        return docs.load({"split": "train", "packages": ["datasets", "huggingface_hub"]})


def modules(frame) -> set[str]:
    return set(frame["source"].str.split(": ").str[1])


def test_held_out_rows_do_not_depend_on_the_process():
    program = (
        "from discreteness.datasets import docs\n"
        "frame = docs.load({'split': 'heldout'})\n"
        "print(len(frame), docs.rows_sha256(frame), hash('a'))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for seed in ("1", "2")
    ]
    (count, one, hash_one), (_, two, hash_two) = [process.communicate(timeout=120)[0].split() for process in started]
    assert hash_one != hash_two  # the sets of the two were in different orders
    assert one == two
    assert int(count) > 1000


def test_hash_of_rows_sees_every_cell(built):
    frame = docs.load({"split": "module"}).head(3)
    hashes = {docs.rows_sha256(frame), docs.rows_sha256(frame[::-1])}
    for column in frame.columns:
        changed = frame.astype({column: object})
        changed.loc[1, column] = "other"
        hashes.add(docs.rows_sha256(changed))
    assert len(hashes) == 2 + len(frame.columns)


def test_held_out_splits(built):
    together = load_dataset("all", {"kind": "docs", "split": "heldout"})
    module, package = (load_dataset(split, {"kind": "docs", "split": split}) for split in ("module", "package"))
    columns = ["prompt", "answer", "source"]
    as_sets = [set(frame[columns].itertuples(index=False, name=None)) for frame in (together, module, package)]
    assert as_sets[0] == as_sets[1] | as_sets[2]
    assert len(together) == len(as_sets[0]) == len(module) + len(package)
    assert min(len(module), len(package)) > 100
    assert list(together["row"]) == list(range(len(together)))
    assert together["prompt"].is_unique
    assert together["source"].head(100).str.startswith("module: ").sum() in range(40, 61)  # in turn
    assert {name.split(".")[0] for name in modules(package)} == set(docs.HELD_OUT_PACKAGES)
    assert {name.split(".")[0] for name in modules(module)} == set(docs.PARTLY_HELD_OUT)
    assert all(docs._is_held_out(name) for name in modules(module))


def test_held_out_rows_are_no_near_copies_of_each_other(held_out):
    seen: set[str] = set()
    repeated: set[str] = set()
    every = [runs(pair.answer) for _, pair in held_out]
    for found in every:
        repeated |= found & seen
        seen |= found
    sharing = [found for found in every if not found.isdisjoint(repeated)]
    assert max((share(one, other) for one, other in combinations(sharing, 2)), default=0.0) < 0.2


def test_training_rows_are_disjoint_from_held_out_modules_and_packages(held_out, training):
    held_out_modules = {pair.module for _, pair in held_out}
    assert len(training) > 500
    assert training["source"].str.startswith("train: ").all()
    assert modules(training).isdisjoint(held_out_modules)
    assert not any(docs._is_held_out(module) for module in modules(training))
    packages = {module.split(".")[0] for module in modules(training)}
    assert packages == {"datasets", "huggingface_hub"}
    assert packages <= {module.split(".")[0] for module in held_out_modules}  # only single modules keep them apart
    assert not set(docs.HELD_OUT_PACKAGES) & set(docs.TRAINING_PACKAGES)
    assert set(training["prompt"]).isdisjoint(pair.prompt for _, pair in held_out)


def test_no_training_answer_is_a_near_copy_of_a_held_out_one(held_out, training):
    theirs = [runs(pair.answer) for _, pair in held_out]
    union = frozenset().union(*theirs)
    ours = [runs(answer) for answer in training["answer"]]
    sharing = [found for found in ours if not found.isdisjoint(union)]
    assert sharing  # some do, but little
    assert max(share(one, other) for one in sharing for other in theirs) < 0.2


def test_near_copies_are_what_is_dropped(held_out, training):
    """Without held-out rows to keep apart from, the same packages give more rows: near copies and nothing else."""
    more = docs._training(["datasets", "huggingface_hub"], [])
    theirs = [runs(pair.answer) for _, pair in held_out]
    kept = set(training["answer"])
    dropped = [runs(pair.answer) for _, pair in more if pair.answer not in kept]
    assert dropped
    assert all(max(share(found, other) for other in theirs) >= 0.2 for found in dropped)


def test_training_answers_are_not_repeated(training):
    normal = training["answer"].str.lower().str.replace(r"[^a-z0-9]+", " ", regex=True)
    assert normal.str.strip().is_unique


def test_one_module_in_twelve():
    names = [f"package.module{number}" for number in range(3000)]
    assert 200 <= sum(map(docs._is_held_out, names)) <= 300


def test_unknown_packages_are_named(built, monkeypatch):
    with pytest.raises(InputError, match="packages: 'requests' is not one of"):  # held out
        docs.load({"split": "train", "packages": ["filelock", "requests"]})
    monkeypatch.setattr(docs, "TRAINING_PACKAGES", ("not_there",))
    with pytest.raises(InputError, match="package 'not_there' is not installed"):
        docs.load({"split": "train", "packages": ["not_there"]})


def test_unknown_split_has_no_rows(built):
    with pytest.raises(InputError, match="data set mine: no rows"):
        load_dataset("mine", {"kind": "docs", "split": "held-out"})


def test_packages_that_differ_are_named(built, monkeypatch, caplog):
    logging.getLogger("discreteness").propagate = True
    installed = docs.metadata.version
    monkeypatch.setattr(docs, "PINNED_ROWS", {"heldout": "another"})
    monkeypatch.setattr(docs.metadata, "version", lambda name: "0.0.1" if name == "rich" else installed(name))
    with caplog.at_level(logging.WARNING, "discreteness"):
        docs.load({"split": "heldout"})
    (record,) = caplog.records
    pinned = re.search(r"^rich==(\S+)", docs.CONSTRAINTS.read_text(), re.M)[1]
    assert f"rich 0.0.1 (pinned {pinned})" in record.getMessage()
    assert "(heldout)" in record.getMessage()


def test_pinned_rows_need_no_warning(built, monkeypatch, caplog):
    logging.getLogger("discreteness").propagate = True
    frame = docs.load({"split": "package"})
    caplog.clear()
    monkeypatch.setattr(docs, "PINNED_ROWS", {"package": docs.rows_sha256(frame)})
    docs.load({"split": "package"})
    assert not caplog.records


def test_versions_are_compared_whatever_the_spelling_of_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(docs.metadata, "version", lambda name: "1.0")
    monkeypatch.setattr(docs, "CONSTRAINTS", tmp_path / "constraints.txt")
    names = (*docs.HELD_OUT_PACKAGES, *docs.PARTLY_HELD_OUT)
    assert docs.differing_packages() == [f"{name} 1.0 (pinned not at all)" for name in names]
    lines = [f"{name.replace('_', '-').title()}==1.0 ; python_version > '3'" for name in names]
    docs.CONSTRAINTS.write_text("\n".join(["# all of them", *lines]))
    assert docs.differing_packages() == []
