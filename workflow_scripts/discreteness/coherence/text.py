"""Statistics of one text, a sequence of token ids or words.

Use token ids to compare decoders of one model, words to compare models with different tokenizers. Where there is
nothing to count (no adjacent pair, no n-gram) the value is NaN, never 0.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Hashable, Iterable, Sequence

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and punctuation marks of a text, in lower case, also the first word of a sentence."""
    return WORD.findall(text.lower())


def adjacent_duplicates(sequence: Sequence[Hashable]) -> float:
    """Share of adjacent pairs with x_i = x_{i−1}."""
    pairs = _ngrams(sequence, 2)
    return _share(sum(left == right for left, right in pairs), len(pairs))


def seq_rep_n(sequence: Sequence[Hashable], n: int = 4) -> float:
    """1 − unique n-grams / n-grams: how much of a text repeats itself (seq-rep-n, Welleck et al. 2019)."""
    return 1 - distinct_n([sequence], n)


def distinct_n(sequences: Iterable[Sequence[Hashable]], n: int = 2) -> float:
    """Unique n-grams of a collection of texts / all its n-grams (distinct-n, Li et al. 2016).

    Falls with the collection's size: compare collections of the same number of tokens.
    """
    grams = [gram for sequence in sequences for gram in _ngrams(sequence, n)]
    return _share(len(set(grams)), len(grams))


def bigrams(sequences: Iterable[Sequence[Hashable]]) -> set[tuple]:
    """Every bigram of a training text's sequences; none spans two sequences."""
    return {pair for sequence in sequences for pair in _ngrams(sequence, 2)}


def unseen_bigrams(sequence: Sequence[Hashable], seen: Container[tuple]) -> float:
    """Share of a text's bigrams that are not in a training text. seen: the training text's bigrams (set or Counter)."""
    pairs = _ngrams(sequence, 2)
    return _share(sum(pair not in seen for pair in pairs), len(pairs))


def unigram_entropy(sequence: Sequence[Hashable]) -> float:
    """Entropy of the relative frequencies within a text, nats; at most ln(length), so compare equal lengths."""
    if not sequence:
        return math.nan
    shares = (count / len(sequence) for count in Counter(sequence).values())
    return math.fsum(-share * math.log(share) for share in shares) + 0.0


def text_statistics(sequence: Sequence[Hashable], seen: Container[tuple] | None = None) -> dict[str, float]:
    """Every statistic of one text by name; `unseen_bigrams` only with the training text's bigrams."""
    sequence = list(sequence)
    statistics = {
        "adjacent_duplicates": adjacent_duplicates(sequence),
        "seq_rep_4": seq_rep_n(sequence, 4),
        "distinct_2": distinct_n([sequence], 2),
    }
    return statistics if seen is None else {**statistics, "unseen_bigrams": unseen_bigrams(sequence, seen)}


def _ngrams(sequence: Sequence[Hashable], n: int) -> list[tuple]:
    if n < 1:
        raise ValueError(f"n-grams of length {n}")
    return [tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1)]


def _share(count: int, total: int) -> float:
    return count / total if total else math.nan
