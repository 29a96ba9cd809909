"""Questions and answers from the docstrings of the packages that this project pins: text that every installation has.

Held out are whole packages, and single modules of others. The pinned version of these packages is the same for every
supported Python, so that the held-out rows are the same bytes on every machine. Of a held-out row and its near copy in
the training rows, the latter is dropped, so that building the held-out rows needs only the held-out modules.
"""

import gc
import hashlib
import logging
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pandas as pd

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.datasets.docstrings import Pair, pairs_of_package

HELD_OUT_PACKAGES = ("click", "fsspec", "jinja2", "platformdirs", "pyparsing", "requests", "rich", "urllib3")
PARTLY_HELD_OUT = ("datasets", "huggingface_hub", "matplotlib", "pandas", "sqlalchemy")
TRAINING_PACKAGES = (
    *PARTLY_HELD_OUT,
    *("stdlib", "sympy", "transformers", "torch", "networkx", "numpy", "fontTools", "docutils", "pygments", "pydantic"),
    *("PIL", "snakemake", "mpmath", "git", "traitlets", "psutil", "anyio", "nbformat", "jsonschema", "pulp", "pyarrow"),
    *("filelock", "packaging", "dateutil", "yaml", "attr", "tqdm", "humanfriendly"),
)
ONE_MODULE_IN = 12  # of the partly held-out packages, about one module in twelve
CONSTRAINTS = Path(__file__).resolve().parents[3] / "constraints.txt"
# SHA-256 of each held-out split's rows with the pinned packages
PINNED_ROWS = {
    "heldout": "d82134a9e46f525f57c0d5f48343ef32d85c0b7e4e462a142f72192b20146728",
    "module": "694ae42b33fc67e318393006d234372a19864b0c1da8278e1f37c8b8001f94d4",
    "package": "26081650a0018e3ec1c13d8f8f258bcd79389c1bae1f0745215b3e8da73fae2f",
}
_NOT_STDLIB = {"site-packages", "idlelib", "lib2to3", "turtledemo", "ensurepip", "distutils", "pydoc_data"}


@contextmanager
def no_collection() -> Iterator[None]:
    """Turn the search for reference cycles off: syntax trees have none, and it takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@no_collection()
def load(row: dict) -> pd.DataFrame:
    """Rows (row, prompt, answer, source) of a split: `module`, `package`, `heldout` (both in turn) or `train`.

    row: `split`, and for `train` optionally `packages`, a list of names from TRAINING_PACKAGES. Where the held-out
    rows are not the pinned rows, a warning in the log names the packages whose version differs.
    """
    held_out = _held_out()
    if row["split"] == "train":
        return _frame(_training(row.get("packages", TRAINING_PACKAGES), held_out))
    chosen = held_out if row["split"] == "heldout" else [pair for pair in held_out if pair[0] == row["split"]]
    frame = _frame(chosen)
    _compare_with_pinned(frame, row["split"])
    return frame


def _frame(rows: Iterable[tuple[str, Pair]]) -> pd.DataFrame:
    records = [(pair.prompt, pair.answer, f"{kind}: {pair.module}") for kind, pair in rows]
    frame = pd.DataFrame(records, columns=["prompt", "answer", "source"])
    frame.insert(0, "row", range(len(frame)))
    return frame


def _held_out() -> list[tuple[str, Pair]]:
    """(kind, pair) of all held-out rows: modules and packages alternate, each in a keyed order, without near copies."""
    kinds = {
        "module": (
            pair for name in PARTLY_HELD_OUT for pair in _package(name, lambda module: not _is_held_out(module))
        ),
        "package": (pair for name in HELD_OUT_PACKAGES for pair in _package(name)),
    }
    queues = {kind: sorted(set(pairs), key=lambda pair: key(0, "docs", *pair)) for kind, pairs in kinds.items()}
    longest = max(map(len, queues.values()))
    in_turn = [(kind, queue[i]) for i in range(longest) for kind, queue in queues.items() if i < len(queue)]
    seen = NearCopies()
    return [(kind, pair) for kind, pair in in_turn if seen.add_if_new(pair)]


def _is_held_out(module: str) -> bool:
    return key(0, "held-out module", module) % ONE_MODULE_IN == 0


def _training(packages: Iterable[str], held_out: list[tuple[str, Pair]]) -> list[tuple[str, Pair]]:
    """Pairs of the packages without held-out modules, near copies of held-out rows and repeated answers."""
    copies = NearCopies()
    for _, pair in held_out:
        copies.add_if_new(pair)
    answers: set[str] = set()
    rows = []
    for name in packages:
        if name not in TRAINING_PACKAGES:
            raise InputError(f"data set: packages: {name!r} is not one of {', '.join(TRAINING_PACKAGES)}")
        partly = name in PARTLY_HELD_OUT
        for pair in _package(name, _is_held_out if partly else lambda module: False, private=True):
            normal = " ".join(_words(pair.answer))
            if normal not in answers and not copies.contains(pair):
                answers.add(normal)
                rows.append(("train", pair))
    return rows


def _package(name: str, skip=lambda module: False, private: bool = False) -> Iterable[Pair]:
    """Pairs of the installed package with this import name; `stdlib` is the standard library."""
    if name == "stdlib":
        folder = Path(sysconfig.get_paths()["stdlib"])
        for path in sorted(folder.iterdir()):
            module = path.is_file() and path.suffix == ".py" or (path / "__init__.py").is_file()
            if module and path.name not in _NOT_STDLIB and not path.name.startswith(("_", "test")):
                yield from pairs_of_package(path, skip, private)
        return
    for base in (Path(sysconfig.get_paths()["purelib"]), Path(sysconfig.get_paths()["platlib"])):
        for path in (base / name, base / f"{name}.py"):
            if path.exists():
                yield from pairs_of_package(path, skip, private)
                return
    raise InputError(f"data set: package {name!r} is not installed; run `make setup`")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


class NearCopies:
    """Recognises pairs whose prompt is one of those added, or whose answer shares runs of eight words with one."""

    SIZE, SHARE = 8, 0.2

    def __init__(self):
        self.owners: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.grams: list[int] = []
        self.prompts: set[str] = set()

    def _runs(self, pair: Pair) -> set[tuple[str, ...]]:
        words = _words(pair.answer)
        size = min(self.SIZE, len(words))
        return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}

    def contains(self, pair: Pair) -> bool:
        """Whether the prompt is known or at least a fifth of the shorter answer's runs are shared with one answer."""
        if pair.prompt in self.prompts:
            return True
        runs = self._runs(pair)
        shared = Counter(owner for run in runs for owner in self.owners.get(run, ()))
        return any(count >= self.SHARE * min(len(runs), self.grams[owner]) for owner, count in shared.items())

    def add_if_new(self, pair: Pair) -> bool:
        """Add a pair unless it is a near copy; returns whether it was added."""
        if self.contains(pair):
            return False
        runs = self._runs(pair)
        for run in runs:
            self.owners[run].append(len(self.grams))
        self.grams.append(len(runs))
        self.prompts.add(pair.prompt)
        return True


def rows_sha256(frame: pd.DataFrame) -> str:
    """SHA-256 of a split's rows."""
    text = "\n".join("\t".join(map(str, record)) for record in frame.itertuples(index=False))
    return hashlib.sha256(text.encode()).hexdigest()


def _compare_with_pinned(frame: pd.DataFrame, split: str) -> None:
    if rows_sha256(frame) != PINNED_ROWS.get(split):
        names = ", ".join(differing_packages()) or "none of the packages used here"
        logging.getLogger("discreteness").warning(
            "the rows of `docs` (%s) are not those of the pinned packages; installed in another version: %s",
            split,
            names,
        )


def differing_packages() -> list[str]:
    """`name installed-version (pinned version)` of the held-out rows' packages in another version than pinned."""
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", CONSTRAINTS.read_text(), re.M)) if CONSTRAINTS.exists() else {}
    pinned = {name.replace("-", "_").lower(): version for name, version in pinned.items()}
    differing = []
    for name in (*HELD_OUT_PACKAGES, *PARTLY_HELD_OUT):
        installed = metadata.version(name)  # installed, as a dependency of this project
        if installed != pinned.get(name.lower()):
            differing.append(f"{name} {installed} (pinned {pinned.get(name.lower(), 'not at all')})")
    return differing
