"""The inputs a rule declares for its code are the modules that its script really imports."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from discreteness.workflow import fingerprint as fingerprints
from discreteness.workflow.fingerprint import SCRIPTS, code_files

ROOT = SCRIPTS.parent
NAMED = {"probe.py": ["denoisers.llada"], "prompts.py": ["datasets.docs"], "plot.py": ["figures.top3"]}

# For every script, in a process of its own that starts with the foreign packages loaded: its modules of the project
LIST = """
import ast, importlib, importlib.util, json, os, sys
import matplotlib.pyplot, pandas, pyarrow.parquet, torch, transformers

def modules(script, named):
    for node in ast.walk(ast.parse(open(script).read())):
        if isinstance(node, ast.ImportFrom):
            importlib.import_module(node.module)
            for alias in node.names:
                if importlib.util.find_spec(node.module).submodule_search_locations is not None:
                    name = node.module + "." + alias.name
                    if importlib.util.find_spec(name):
                        importlib.import_module(name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
    for name in named:
        importlib.import_module("discreteness." + name)
    return [module.__file__ for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "discreteness"]

for script, named in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        print(json.dumps([script, modules(script, named)]), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{script}: cannot be imported")
"""


@pytest.fixture(scope="module")
def imported():
    """Script -> the project's modules that importing what it imports loads."""
    scripts = {str(path): NAMED.get(path.name, []) for path in sorted(SCRIPTS.glob("*.py"))}
    command = [sys.executable, "-c", LIST, json.dumps(scripts)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {Path(script).name: set(files) for script, files in map(json.loads, lines)}


def imported_later(paths: set[str]) -> set[str]:
    """The project's modules that functions in some files import, with all that these import in turn."""
    pending, later = [], set()
    for path in paths:
        for function in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(function, ast.FunctionDef):
                code = fingerprints._Code()
                code.visit(function)
                names = [name for name in code.imports if name.startswith("discreteness")]
                pending += [file for name in names for file in fingerprints._module_files(name)]
    while pending:
        file = pending.pop()
        if file.relative_to(ROOT).as_posix() not in later:
            later.add(file.relative_to(ROOT).as_posix())
            pending += fingerprints._direct_imports(file)
    return later


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_declared_inputs_are_the_real_imports(imported, script):
    found = {Path(file).relative_to(ROOT).as_posix() for file in imported[script]}
    declared = set(code_files(script, *NAMED.get(script, []))) - {f"workflow_scripts/{script}"}
    assert found <= declared
    # imports inside functions run later: they are declared, though a mere import of the module does not show them
    assert declared - found <= imported_later(declared)


def test_every_script_belongs_to_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for script in SCRIPTS.glob("*.py"):
        assert f'"../workflow_scripts/{script.name}"' in rules


def test_unknown_modules_are_refused():
    with pytest.raises(FileNotFoundError):
        code_files("probe.py", "denoisers.nothing")


def test_the_fingerprint_is_of_code_not_of_comments_docstrings_or_layout(tmp_path):
    def digest(text):
        (tmp_path / "module.py").write_text(text)
        fingerprints._code.cache_clear()
        return fingerprints._code(tmp_path / "module.py").digest

    code = 'def f(x):\n    """Says."""\n    return x + 1\n\n\nclass A:\n    """Says."""\n'
    same = '"""New."""\n# a comment\ndef f(\n    x\n):\n    return x + 1  # and one\nclass A:\n    "Other."\n'
    assert digest(code) == digest(same)
    for changed in ("x + 2", "x + 1.0", "x - 1", "'x + 1'", "y + 1", "f(x) + 1", "[x + 1]"):
        assert digest(code.replace("x + 1", changed)) != digest(code)
    # a text that is no docstring counts
    assert digest("a = 1\n'text'\n") != digest("a = 1\n'other'\n")
