"""Which of the project's own files a script depends on, so that editing one reruns what uses it and nothing else."""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
PACKAGE = "discreteness"
# An import statement that names the package; far quicker to find than by parsing whole files, at every command
IMPORT = re.compile(rf"^[ \t]*(?:from {PACKAGE}[\w.]* import (?:\([^)]*\)|[^\n(]+)|import {PACKAGE}[^\n]*)", re.M)


@cache
def _direct_imports(path: Path) -> frozenset[Path]:
    """In-project modules that a file's import statements name, wherever in the file they stand."""
    found: set[Path] = set()
    for statement in IMPORT.findall(path.read_text(encoding="utf-8")):
        for node in ast.parse(statement.strip()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found.update(file for name in names for file in _module_files(name))
    return frozenset(found)


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
    """A hash of `sources(script, *modules)`, names and contents: the parameter that lets an edit rerun a rule.

    One short parameter in place of some twenty input files a job: those cost four times what the rest of a job does
    when Snakemake works out what is to be done. Touching a file changes nothing.
    """
    digest = hashlib.sha256()
    for path in sources(script, *modules):
        digest.update(f"{path}\0{_content_hash(path)}\0".encode())
    return digest.hexdigest()[:16]


@cache
def _content_hash(path: str) -> str:
    return hashlib.sha256((SCRIPTS.parent / path).read_bytes()).hexdigest()
