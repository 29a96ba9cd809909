"""Questions and answers from Python source: docstrings, parsed without importing the modules, reduced to prose."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MIN_WORDS, MAX_WORDS = 5, 110


class Pair(NamedTuple):
    """A question about a documented object, the prose of its docstring, and the object's module."""

    module: str
    prompt: str
    answer: str


_FIELD = "param|type|returns?|rtype|raises?|exception|keyword|kwarg|arg|ivar|cvar|var|meta|since|yields?"
_SECTION = re.compile(
    r"^(parameters?|params?|args?|arguments?|attributes?|returns?|raises?|yields?|notes?|examples?|usage|see also|"
    r"references|warnings?|methods|keyword arguments?|keyword args|other parameters|example usage|inputs?|outputs?|"
    r"shape|todo|kwargs|default|options|properties|explanation|description|definition)(\s*:|( \w+){0,3}:)?\s*$",
    re.IGNORECASE,
)
_STOP = re.compile(
    rf"^(>>>|\.\. |:({_FIELD})\b|@\w|[-*+•] |\d+[.)] |[|+]|```|#|\$|<)|^([-=~^*#`_]{{3,}})\s*$|^\w[\w, |*]*\s*:\s*$"
)
_SIGNATURE = re.compile(r"^[\w.]+\(.*\)\s*(->.*)?$")
_CLEANING = (
    (re.compile(r":[\w:+-]+:`~?(?:[^`<]*<)?([^`<>]*)>?`"), r"\1"),  # :class:`~pkg.Name`
    (re.compile(r"`([^`<]*?)\s*<[^>]*>`_+"), r"\1"),  # `text <target>`_
    (re.compile(r"\[`+~?([^`\]]*)`+\](\([^)]*\))?"), r"\1"),  # [`Name`](link)
    (re.compile(r"`+~?([^`]*)`+_*"), r"\1"),
    (re.compile(r"\*\*?(\w[^*]*?)\*\*?"), r"\1"),
    (re.compile(r"\b[\w]+(?:\.[\w]+)+\.([A-Za-z_]\w*)|\b_[a-z]+\.([A-Za-z]\w*)"), r"\1\2"),  # paths: last name
    (re.compile(r"\s+"), " "),
)
_FORBIDDEN = re.compile(r"https?:|www\.|[^\x20-\x7e]|[{}<>|=_]{2,}|::|[$\\]")
_WORD = re.compile(r"^[\"'(]*[A-Za-z][a-zA-Z'-]*[\"').,;:!?]*$")


def clean(docstring: str) -> str:
    """The leading prose of a docstring as one line of plain sentences; empty when there is too little of it.

    Ends at the first section header, underline, doctest, directive, list or indented block; drops signature lines;
    unwraps reStructuredText roles and back-quotes; ends at the first paragraph with a URL, code or non-ASCII text.
    """
    paragraphs: list[str] = []
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(docstring))):
        lines = paragraph.split("\n")
        if number == 0 and _SIGNATURE.match(lines[0].strip()):
            lines = lines[1:]
        prose = _prose_lines(lines)
        text = " ".join(prose)
        for pattern, replacement in _CLEANING:
            text = pattern.sub(replacement, text)
        text = text.strip()
        if text and not _FORBIDDEN.search(text):
            paragraphs.append(text)
        if len(prose) < len(lines) or _FORBIDDEN.search(text) or text.endswith(":"):
            break
    return _whole_sentences(" ".join(paragraphs))


def _prose_lines(lines: list[str]) -> list[str]:
    prose: list[str] = []
    for line in lines:
        stripped = line.strip()
        if _SECTION.match(stripped) or _STOP.match(stripped) or (prose and line.startswith("    ")):
            if re.match(r"^[-=~^*#`_]{3,}$", stripped) and prose:
                prose.pop()  # the line above an underline is a title
            break
        prose.append(stripped)
    return prose


def _whole_sentences(text: str) -> str:
    """At most MAX_WORDS words, cut after a sentence; empty when shorter than MIN_WORDS or hardly English."""
    words = text.split()
    if len(words) > MAX_WORDS:
        ends = [i for i in range(MAX_WORDS) if words[i].endswith((".", "!", "?"))]
        words = words[: ends[-1] + 1] if ends else []
    while words and text.endswith(":") and not words[-1].endswith("."):
        words.pop()  # the introduction of a list that was cut off
    if len(words) < MIN_WORDS or sum(bool(_WORD.match(word)) for word in words) < 0.75 * len(words):
        return ""
    sentence = " ".join(words)
    return sentence if sentence[-1] in ".!?" else sentence + "."


def pairs_of_module(source: str, module: str, private: bool = False) -> Iterator[Pair]:
    """Question and answer for every documented class, function and method of a module's source.

    private: names that begin with one underscore too.
    """

    def is_wanted(node: ast.AST) -> bool:
        return not node.name.startswith("__" if private else "_")

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_wanted(node):
            yield from _pair(node, module, f"What is the class {node.name} in module {module}?{_bases(node)}")
            for method in node.body:
                if isinstance(method, _FUNCTION) and is_wanted(method):
                    yield from _pair(method, module, _asks(method, f"class {node.name} in module {module}"))
        elif isinstance(node, _FUNCTION) and is_wanted(node):
            yield from _pair(node, module, _asks(node, f"module {module}"))


_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def _asks(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> str:
    """The question about a function, or about a method or property of a class: its arguments and its type."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    returns = f" It returns {node.returns.id}." if isinstance(node.returns, ast.Name) else ""
    if any(decorator.endswith("property") for decorator in decorators):
        return f"What is the property {node.name} of {owner}?{returns}"
    kind = "the method {} of {}" if owner.startswith("class") else "the function {} in {}"
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    names = [name for name in names if name not in ("self", "cls")][:5]
    takes = f" It takes {', '.join(names)}." if names else ""
    return f"What does {kind.format(node.name, owner)} do?{takes}{returns}"


def _bases(node: ast.ClassDef) -> str:
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return f" It is a kind of {names[0]}." if names else ""


def _pair(node, module: str, prompt: str) -> Iterator[Pair]:
    docstring = ast.get_docstring(node, clean=False)
    answer = clean(docstring) if docstring else ""
    if answer:
        yield Pair(module, prompt, answer)


_SKIPPED = re.compile(
    r"(^|[._])(tests?|testing|conftest|vendor|_vendor|vendored|externals?|examples?|benchmarks?)([._]|$)"
)


def pairs_of_package(folder: Path, skip=lambda module: False, private: bool = False) -> Iterator[Pair]:
    """All pairs of an installed package's folder (or single file), in the order of the module names.

    skip: modules to leave out, unread; private: modules in private folders and private names too.
    """
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]
    for path in files:
        names = path.relative_to(folder.parent).with_suffix("").parts
        module = ".".join(names[:-1] if names[-1] == "__init__" else names)
        hidden = not private and any(name.startswith("_") for name in names[1:-1])
        if not (_SKIPPED.search(module) or hidden or skip(module)):
            yield from pairs_of_module(path.read_text(encoding="utf-8", errors="replace"), module, private)
