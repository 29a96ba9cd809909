"""Languages whose sentences and probabilities are all known, and exact quantities of them. Everything in nats.

A sentence has L tokens, EOS included as padding. Sums over all 2^L sets of positions give the entropy of
every set and from them the information curve (arXiv 2511.04647).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discreteness.core.errors import InputError
from discreteness.core.randomness import key

MOST_POSITIONS = 14  # 2^14 sets of positions


@dataclass(frozen=True, eq=False)
class Language:
    """A finite language.

    words: the vocabulary, alphabetical; a word's id is its index. The ids of EOS and of the mask follow.
    token_ids: (N, L) int64, the sentences, padded with EOS. probabilities: (N,) float64, sum 1.
    violations: function (language, token_ids) -> {kind of violation: (n,) bool}, for a language with kinds (`grammar`).
    """

    name: str
    words: tuple[str, ...]
    token_ids: np.ndarray
    probabilities: np.ndarray
    violations: Callable[["Language", np.ndarray], dict[str, np.ndarray]] | None = None

    @classmethod
    def from_sentences(
        cls, name: str, sentences: Mapping[str, float], length: int | None = None, violations: Callable | None = None
    ) -> "Language":
        """A language from text -> probability, padded to `length` tokens (default: to the longest sentence)."""
        texts = [text.split() for text in sentences]
        words = tuple(sorted({word for text in texts for word in text}))
        number = {word: id_ for id_, word in enumerate(words)}
        length = length or max(map(len, texts))
        token_ids = np.full((len(texts), length), len(words), dtype=np.int64)
        for row, text in zip(token_ids, texts, strict=True):
            row[: len(text)] = [number[word] for word in text]
        return cls(name, words, token_ids, np.array(list(sentences.values()), dtype=np.float64), violations)

    @property
    def length(self) -> int:
        """L, tokens of every sentence with its padding."""
        return self.token_ids.shape[1]

    @property
    def eos_id(self) -> int:
        """Id of EOS."""
        return len(self.words)

    @property
    def mask_id(self) -> int:
        """Id of the mask token."""
        return len(self.words) + 1

    @property
    def vocab_size(self) -> int:
        """V: words, EOS and mask."""
        return len(self.words) + 2

    def ids(self, text: str) -> np.ndarray:
        """(n,) ids of a text's words, without padding; −1 for unknown words."""
        return np.array([self._numbers.get(word, -1) for word in text.split()], dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(n, L) ids of texts, padded with EOS; −1 for unknown words, and for every token of a text longer than L."""
        rows = np.full((len(texts), self.length), self.eos_id, dtype=np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = self.ids(text)
            row[: len(ids)] = ids if len(ids) <= self.length else -1
        return rows

    def text(self, ids: Sequence[int]) -> str:
        """Words of one string of ids, without the EOS tokens that pad it; an EOS token before a word is <eos>."""
        words = ["<eos>" if id_ == self.eos_id else self.words[id_] for id_ in ids]
        while words and words[-1] == "<eos>":
            words.pop()
        return " ".join(words)

    def translate(self, denoiser, token_ids: np.ndarray) -> np.ndarray:
        """A denoiser's ids (…) -> this language's ids: EOS tokens become `eos_id`, tokens that are no word −1."""
        tokens = map(denoiser.tokenizer.convert_ids_to_tokens, range(len(denoiser.tokenizer)))
        table = np.full(max(denoiser.vocab_size, len(denoiser.tokenizer)), -1, dtype=np.int64)
        for id_, token in enumerate(tokens):
            table[id_] = self._numbers.get(token, -1)
        table[list(denoiser.special_ids)] = -1
        table[list(denoiser.eos_ids)] = self.eos_id
        return table[token_ids]

    def contains(self, token_ids: np.ndarray) -> np.ndarray:
        """(n, L) ids -> (n,) bool, True for sentences of the language."""
        return np.array([tuple(row) in self._places for row in np.asarray(token_ids).tolist()], dtype=bool)

    def logprobs(self, token_ids: np.ndarray) -> np.ndarray:
        """(n, L) ids -> (n,) log-probabilities, −inf for strings that are no sentence."""
        places = [self._places.get(tuple(row), -1) for row in np.asarray(token_ids).tolist()]
        return np.append(np.log(self.probabilities), -np.inf)[places]

    def sample(self, sentences: int, seed: int = 0) -> np.ndarray:
        """(n,) indices of drawn sentences; the i-th draw depends on the seed and i only."""
        drawn = np.array([key(seed, self.name, i) for i in range(sentences)]) / 2.0**63
        steps = np.cumsum(self.probabilities)
        return np.searchsorted(steps / steps[-1], drawn, side="right").clip(max=len(steps) - 1)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: id_ for id_, word in enumerate(self.words)}

    @cached_property
    def _places(self) -> dict[tuple[int, ...], int]:
        return {tuple(row): place for place, row in enumerate(self.token_ids.tolist())}


def entropy(language: Language) -> float:
    """H(X), nats."""
    return float(-(language.probabilities * np.log(language.probabilities)).sum())


def total_correlation(language: Language) -> float:
    """Σ_i H(X_i) − H(X), nats: the KL that one parallel step over all positions costs."""
    columns = (np.bincount(column, language.probabilities) for column in language.token_ids.T)
    return float(sum(_entropy(column) for column in columns)) - entropy(language)


def _entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def subset_entropies(language: Language) -> np.ndarray:
    """H(X_S) of every set S of positions, (2^L,) nats; bit i of the index says whether position i is in S.

    Raises InputError for a language of more than MOST_POSITIONS positions.
    """
    length = language.length
    if length > MOST_POSITIONS:
        raise InputError(f"language {language.name}: 2^{length} sets of positions (at most 2^{MOST_POSITIONS})")
    entropies = np.zeros(2**length)

    def add_positions(classes: np.ndarray, bits: int, start: int) -> None:
        """Entropies of all sets that extend the set `bits`, whose classes are given, by positions from `start` on."""
        for i in range(start, length):
            finer, masses = refined(language, classes, i)
            entropies[bits | 1 << i] = _entropy(masses)
            if i + 1 < length:
                add_positions(finer, bits | 1 << i, i + 1)

    add_positions(np.zeros(len(language.token_ids), dtype=np.int64), 0, 0)
    return entropies


def refined(language: Language, classes: np.ndarray, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes (N,) 0, 1, … of sentences, divided by the token at one more position; and the new classes' probabilities.

    Sentences are in one class if they agree at all positions so far; the probability of a class is a marginal.
    """
    joint = classes * language.vocab_size + language.token_ids[:, position]
    sums = np.bincount(joint, language.probabilities)
    seen = np.flatnonzero(sums)
    dense = np.empty(len(sums), dtype=np.int64)
    dense[seen] = np.arange(len(seen))
    return dense[joint], sums[seen]


def exact_curve(language: Language) -> np.ndarray:
    """f(k) = E_{|V|=k, i∉V} H(X_i | X_V) for k = 0 … L − 1, exact, nats; it sums to the entropy.

    With h(k) the mean entropy of the sets of k positions, f(k) = h(k + 1) − h(k): V with i is a uniformly drawn set.
    """
    entropies = subset_entropies(language)
    sizes = np.bitwise_count(np.arange(len(entropies)))
    return np.diff(np.bincount(sizes, entropies) / np.bincount(sizes))
