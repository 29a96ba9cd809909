"""Which of the project's own files a script depends on, so that editing one reruns what uses it and nothing else."""

import ast
import hashlib
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "discreteness"
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class _Code:
    """A file's syntax tree: `words`, all that it says but for docstrings; `imports`, the names of what it imports."""

    words: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """Hash of the words."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def visit(self, node: ast.AST) -> None:
        """Add a node and what is below it: kinds of nodes, names, constants, brackets around lists."""
        self.words.append(type(node).__name__)
        if isinstance(node, ast.Import):
            self.imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            self.imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                self.words.append("[")
                if name == "body" and isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False):
                    value = value[1:]
                for part in value:
                    self.visit(part) if isinstance(part, ast.AST) else self.words.append(repr(part))
                self.words.append("]")
            else:
                self.words.append(repr(value))


@cache
def _code(path: Path) -> _Code:
    code = _Code()
    code.visit(ast.parse(path.read_text(encoding="utf-8"), path))
    return code


@cache
def _direct_imports(path: Path) -> frozenset[Path]:
    """In-project modules that a file's import statements name, wherever in the file they stand."""
    ours = [name for name in _code(path).imports if name.split(".")[0] == PACKAGE]
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
def code_files(script: str, *modules: str) -> list[str]:
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
    """A hash of `code_files(script, *modules)`, names and code: the parameter that lets an edit rerun a rule.

    One short parameter in place of some twenty input files per job: those cost four times what the rest of a job does
    when Snakemake works out what is to be done. Touching a file changes nothing, nor does a comment or a docstring.
    """
    digest = hashlib.sha256()
    for path in code_files(script, *modules):
        digest.update(f"{path}\0{_code(SCRIPTS.parent / path).digest}\0".encode())
    return digest.hexdigest()[:16]
