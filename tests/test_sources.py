"""The inputs a rule declares for its code are the modules that its script really imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from discreteness.sources import SCRIPTS, sources

ROOT = SCRIPTS.parent
NAMED = {"probe.py": ["denoisers.llada"], "prompts.py": ["datasets.docs"]}

LIST = """
import ast, importlib.util, sys
for node in ast.walk(ast.parse(open({script!r}).read())):
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
for name in {named!r}:
    importlib.import_module("discreteness." + name)
for name, module in sorted(sys.modules.items()):
    if name.split(".")[0] == "discreteness":
        print(module.__file__)
"""


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_declared_inputs_are_the_real_imports(script):
    named = NAMED.get(script, [])
    code = LIST.format(script=str(SCRIPTS / script), named=named)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {Path(line).relative_to(ROOT).as_posix() for line in result.stdout.split()}
    declared = set(sources(script, *named)) - {f"workflow_scripts/{script}"}
    # imports inside functions run later: they are declared, though a mere import of the module does not show them
    lazy = declared - imported
    assert imported <= declared
    for path in lazy:
        assert "denoisers" in path or "training" in path or "datasets" in path, path


def test_every_script_belongs_to_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for script in SCRIPTS.glob("*.py"):
        assert f'"../workflow_scripts/{script.name}"' in rules


def test_unknown_modules_are_refused():
    with pytest.raises(FileNotFoundError):
        sources("probe.py", "denoisers.nothing")
