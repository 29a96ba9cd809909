"""Which of the project's own files a script depends on, so that editing one reruns what uses it and nothing else."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "discreteness"
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), path)


@cache
def _direct_imports(path: Path) -> frozenset[Path]:
    """In-project modules that a file's import statements name, wherever in the file they stand."""
    names: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = [name for name in names if name.split(".")[0] == PACKAGE]
    return frozenset(file for name in ours for file in _module_files(name))


def _module_files(name: str) -> list[Path]:
    """The files that importing `name` runs: the module and the packages it stands in; nothing if it is no module."""
    parts = name.split(".")
    folder = SCRIPTS.joinpath(*parts)
    if not (folder.is_dir() or folder.with_suffix(".py").is_file()):
        return []
    packages = [SCRIPTS.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts))]
    return [*packages, folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")]


@cache
def sources(script: str, *modules: str) -> list[str]:
    """A script, the modules named (as `denoisers.llada`, for what is imported by name) and all they import in turn.

    Sorted paths relative to the repository's root. Raises FileNotFoundError for a script or module that is not there.
    """
    pending = [SCRIPTS / script, *(path for name in modules for path in _named(name))]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(_direct_imports(path))
    return sorted(path.relative_to(SCRIPTS.parent).as_posix() for path in seen)


def _named(name: str) -> list[Path]:
    files = _module_files(f"{PACKAGE}.{name}")
    if not files:
        raise FileNotFoundError(f"{PACKAGE}.{name} is not a module of this project")
    return files


@cache
def fingerprint(script: str, *modules: str) -> str:
    """A hash of `sources(script, *modules)`, names and code: the parameter that lets an edit rerun a rule.

    One short parameter in place of some twenty input files a job: those cost four times what the rest of a job does
    when Snakemake works out what is to be done. Touching a file changes nothing, nor does a comment or a docstring.
    """
    digest = hashlib.sha256()
    for path in sources(script, *modules):
        digest.update(f"{path}\0{_content_hash(path)}\0".encode())
    return digest.hexdigest()[:16]


@cache
def _content_hash(path: str) -> str:
    """A hash of what a file's syntax tree says, comments, layout and docstrings apart."""
    return hashlib.sha256("\n".join(_flat(_tree(SCRIPTS.parent / path))).encode()).hexdigest()


def _flat(node: ast.AST) -> Iterator[str]:
    """A syntax tree as a sequence of words: kinds of nodes, names, constants, brackets around lists."""
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        for part in ("[", *value, "]") if isinstance(value, list) else (value,):
            if isinstance(part, ast.AST):
                yield from _flat(part)
            else:
                yield repr(part)
