"""Languages whose sentences are all known with their probabilities, so that every quantity is exact."""

from functools import cache

from discreteness.core.errors import InputError
from discreteness.languages import grammar, toy
from discreteness.languages.language import Language

LANGUAGES = ("toy", "abab", "grammar")


@cache
def get_language(name: str) -> Language:
    """The language `toy`, `abab` or `grammar`. Raises InputError for any other name."""
    if name == "grammar":
        return Language.from_sentences(name, grammar.sentences(), grammar.LENGTH, grammar.violations)
    if name not in LANGUAGES:
        raise InputError(f"language: {name!r} is unknown (expected {' or '.join(LANGUAGES)})")
    sentences = toy.SENTENCES if name == "toy" else toy.ALTERNATIONS
    return Language.from_sentences(name, dict.fromkeys(sentences, 0.5))
