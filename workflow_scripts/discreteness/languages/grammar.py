"""A small English whose sentences can all be listed with their probabilities, so that every quantity is exact.

A probabilistic grammar without recursion, defined by `PRODUCTIONS`. Its sentences have several kinds of dependency
between their words, each with its own check (`violations`): words drawn in the same step are drawn independently, and
violate these dependencies (the marginal trap of arXiv 2512.22630).
"""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np

from discreteness.languages.language import Language

LENGTH = 12  # tokens of the longest sentence; shorter ones are padded with EOS

NAMES = ("Anna", "Emma", "Oscar")
SINGULAR = ("girl", "artist", "uncle")
PLURAL = ("girls", "artists", "uncles")
OBJECTS = {"food": ("cake", "apple"), "text": ("letter", "essay"), "machine": ("car", "engine")}
ACTIONS = {"food": ("eats", "eat"), "text": ("reads", "read"), "machine": ("repairs", "repair")}  # (singular, plural)
STATES = (("sits", "sit"), ("waits", "wait"))  # verbs without an object
QUALITIES = ("old", "new")
CONJUNCTIONS = ("when", "because")
IDIOMS = ("now and then", "by and large", "from time to time", "once in a blue moon")

# Symbol -> its alternatives with their weights. Symbols are upper-case; "a(n)" becomes "a" or "an" depending on the
# next word, and "SAME" becomes the name that came before.
PRODUCTIONS: dict[str, dict[str, float]] = {
    "SENTENCE": {
        "ONE PLACE DOES": 5,
        "MANY PLACE DO": 5,
        "ONE PLACE DOES SHORT-IDIOM": 2,
        "MANY PLACE DO SHORT-IDIOM": 2,
        "ONE DOES IDIOM": 2,
        "MANY DO IDIOM": 2,
        "ONE PLACE RESTS LONG-IDIOM": 1,
        "MANY PLACE REST LONG-IDIOM": 1,
        "NAME DOES CONJUNCTION SAME RESTS PLACE": 8,
    },
    "ONE": {f"{article} {noun}": 3 - i for article in ("the", "a(n)") for i, noun in enumerate(SINGULAR)},
    "MANY": {f"{article} {noun}": 3 - i for article in ("the", "two") for i, noun in enumerate(PLURAL)},
    "NAME": {name: 3 - i for i, name in enumerate(NAMES)},
    "PLACE": {"near the lake": 3, "near the bridge": 1, "behind the lake": 1, "behind the bridge": 3},
    "DOES": {f"{verbs[0]} {kind.upper()}": 1 for kind, verbs in ACTIONS.items()},
    "DO": {f"{verbs[1]} {kind.upper()}": 1 for kind, verbs in ACTIONS.items()},
    **{kind.upper(): {f"DESCRIBED {thing}": 1 for thing in things} for kind, things in OBJECTS.items()},
    "DESCRIBED": {"the": 2, "a(n)": 2, **{f"{article} {word}": 1 for article in ("the", "a(n)") for word in QUALITIES}},
    "CONJUNCTION": dict.fromkeys(CONJUNCTIONS, 1),
    "RESTS": {verbs[0]: 1 for verbs in STATES},
    "REST": {verbs[1]: 1 for verbs in STATES},
    "SHORT-IDIOM": {idiom: 1 for idiom in IDIOMS if len(idiom.split()) == 3},
    "LONG-IDIOM": {idiom: 1 for idiom in IDIOMS if len(idiom.split()) > 3},
    "IDIOM": {"SHORT-IDIOM": 1, "LONG-IDIOM": 1},
}


@cache
def sentences() -> dict[str, float]:
    """Every sentence -> its probability, in alphabetical order; the probabilities sum to 1."""
    probabilities: dict[str, float] = {}
    for words, probability in _expand("SENTENCE"):
        text = " ".join(_surface(words))
        probabilities[text] = probabilities.get(text, 0.0) + probability
    return dict(sorted(probabilities.items()))


@cache
def _expand(symbol: str) -> list[tuple[tuple[str, ...], float]]:
    """All strings of words that a symbol produces, with their probabilities."""
    if symbol not in PRODUCTIONS:
        return [((symbol,), 1.0)]
    total = sum(PRODUCTIONS[symbol].values())
    expansions = []
    for alternative, weight in PRODUCTIONS[symbol].items():
        strings = [((), weight / total)]
        for child in alternative.split():
            strings = [(left + right, p * q) for left, p in strings for right, q in _expand(child)]
        expansions += strings
    return expansions


def _surface(words: tuple[str, ...]) -> Iterable[str]:
    """The words of the sentence: with the article's form, and the name repeated."""
    for i, word in enumerate(words):
        if word == "a(n)":
            yield "an" if _begins_with_vowel(words[i + 1]) else "a"
        else:
            yield next(name for name in words if name in NAMES) if word == "SAME" else word


def _begins_with_vowel(word: str) -> bool:
    return word[0].lower() in "aeiou" and word != "once"


def violations(language: Language, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Violations in strings of the language's ids (n, L): kind -> (n,) bool. The id −1 is an unknown word.

    agreement: a verb immediately after a subject (noun or name) of the other number;
    distant_agreement: the same with other words, but no verb, conjunction or EOS, between them;
    article: "a" before a vowel or "an" before a consonant;
    selection: a verb's object, after articles and adjectives only, that cannot be the object of this verb;
    coreference: two different names (every sentence repeats its own);
    idiom: a word that occurs only in fixed expressions, outside a complete one;
    other: not a sentence of the language, and none of these.
    A string may violate several kinds; a sentence of the language violates none.
    """
    token_ids = np.asarray(token_ids)
    near, distant = _agreement(language, token_ids)
    kinds = {
        "agreement": near,
        "distant_agreement": distant,
        "article": _article(language, token_ids),
        "selection": _selection(language, token_ids),
        "coreference": _coreference(language, token_ids),
        "idiom": _idiom(language, token_ids),
    }
    explained = np.any(list(kinds.values()), axis=0)
    return {**kinds, "other": ~explained & ~language.contains(token_ids)}


def _feature(language: Language, value: Callable[[str], int]) -> np.ndarray:
    """`value` of each word, by id; 0 for EOS, the mask and, as the last entry, the id −1."""
    return np.array([*map(value, language.words), 0, 0, 0])


def _is_in(words: Iterable[str]) -> Callable[[str], int]:
    members = frozenset(words)
    return lambda word: int(word in members)


def _agreement(language: Language, token_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    verbs = [*ACTIONS.values(), *STATES]
    singular, plural = _is_in(verb[0] for verb in verbs), _is_in(verb[1] for verb in verbs)
    subject = _feature(language, lambda word: _is_in((*SINGULAR, *NAMES))(word) + 2 * _is_in(PLURAL)(word))[token_ids]
    verb = _feature(language, lambda word: singular(word) + 2 * plural(word))[token_ids]
    ends = _feature(language, lambda word: 1 - _is_in(CONJUNCTIONS)(word))[token_ids] == 0
    near, distant, number, place = (np.zeros(len(token_ids), dtype=int) for _ in range(4))
    for i in range(token_ids.shape[1]):
        wrong = (number > 0) & (verb[:, i] > 0) & (verb[:, i] != number)
        near |= wrong & (place == i - 1)
        distant |= wrong & (place < i - 1)
        number[(verb[:, i] > 0) | ends[:, i]] = 0
        is_subject = subject[:, i] > 0
        number[is_subject], place[is_subject] = subject[is_subject, i], i
    return near.astype(bool), distant.astype(bool)


def _article(language: Language, token_ids: np.ndarray) -> np.ndarray:
    article = _feature(language, lambda word: (word == "a") + 2 * (word == "an"))[token_ids[:, :-1]]
    sound = _feature(language, lambda word: 2 if _begins_with_vowel(word) else 1)[token_ids[:, 1:]]
    return ((article > 0) & (sound > 0) & (article != sound)).any(1)


def _selection(language: Language, token_ids: np.ndarray) -> np.ndarray:
    kinds = list(OBJECTS)
    wanted = {verb: kind for kind, verbs in ACTIONS.items() for verb in verbs}
    thing = {word: kind for kind, words in OBJECTS.items() for word in words}
    verb = _feature(language, lambda word: 1 + kinds.index(wanted[word]) if word in wanted else 0)[token_ids]
    noun = _feature(language, lambda word: 1 + kinds.index(thing[word]) if word in thing else 0)[token_ids]
    between = _feature(language, _is_in(("the", "a", "an", *QUALITIES)))[token_ids].astype(bool)
    wrong, pending = np.zeros(len(token_ids), dtype=bool), np.zeros(len(token_ids), dtype=int)
    for i in range(token_ids.shape[1]):
        wrong |= (pending > 0) & (noun[:, i] > 0) & (pending != noun[:, i])
        pending = np.where(between[:, i], pending, verb[:, i])
    return wrong


def _coreference(language: Language, token_ids: np.ndarray) -> np.ndarray:
    name = _feature(language, lambda word: 1 + NAMES.index(word) if word in NAMES else 0)[token_ids]
    return np.sum([(name == i + 1).any(1) for i in range(len(NAMES))], axis=0) > 1


def _idiom(language: Language, token_ids: np.ndarray) -> np.ndarray:
    exclusive = _feature(language, _is_in(_idiom_words()))[token_ids] == 1
    complete = np.zeros(token_ids.shape, dtype=bool)
    for idiom in IDIOMS:
        ids = language.ids(idiom)
        for start in range(token_ids.shape[1] - len(ids) + 1):
            stretch = slice(start, start + len(ids))
            complete[:, stretch] |= (token_ids[:, stretch] == ids).all(1)[:, None]
    return (exclusive & ~complete).any(1)


@cache
def _idiom_words() -> frozenset[str]:
    """Words of the fixed expressions that no sentence has elsewhere."""
    elsewhere = {word for text in sentences() for word in _without_idiom(text).split()}
    return frozenset(word for idiom in IDIOMS for word in idiom.split()) - elsewhere


def _without_idiom(text: str) -> str:
    for idiom in IDIOMS:
        text = text.removesuffix(idiom)
    return text
