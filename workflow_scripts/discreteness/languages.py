"""Languages whose sentences are all known with their probabilities, and what follows exactly. Everything in nats.

A sentence has L tokens, the end token included as padding. Sums over all 2^L sets of positions give the entropy of
every set and from them the information curve (arXiv 2511.04647); sums over the strings that a sampler can produce give
its distribution.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
import torch

from discreteness import information
from discreteness.errors import InputError
from discreteness.randomness import key

LANGUAGES = ("toy", "abab", "grammar")
MOST_POSITIONS = 14  # 2^14 sets of positions


@dataclass(frozen=True, eq=False)
class Language:
    """A finite language.

    words: the vocabulary, alphabetical; a word's id is its place. The end token and the mask come behind them.
    token_ids: (N, L) int64, the sentences, padded with the end token. probabilities: (N,) float64, sum 1.
    """

    name: str
    words: tuple[str, ...]
    token_ids: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def from_sentences(cls, name: str, sentences: Mapping[str, float], length: int | None = None) -> "Language":
        """A language from text -> probability, padded to `length` tokens (default: to the longest sentence)."""
        texts = [text.split() for text in sentences]
        words = tuple(sorted({word for text in texts for word in text}))
        number = {word: id_ for id_, word in enumerate(words)}
        length = length or max(map(len, texts))
        token_ids = np.full((len(texts), length), len(words), dtype=np.int64)
        for row, text in zip(token_ids, texts, strict=True):
            row[: len(text)] = [number[word] for word in text]
        return cls(name, words, token_ids, np.array(list(sentences.values()), dtype=np.float64))

    @property
    def length(self) -> int:
        """L, tokens of every sentence with its padding."""
        return self.token_ids.shape[1]

    @property
    def eos_id(self) -> int:
        """Id of the end token."""
        return len(self.words)

    @property
    def mask_id(self) -> int:
        """Id of the mask token."""
        return len(self.words) + 1

    @property
    def vocab_size(self) -> int:
        """V: words, end token and mask."""
        return len(self.words) + 2

    def ids(self, text: str) -> np.ndarray:
        """(n,) ids of a text's words, without padding; −1 for a word that the language has not."""
        return np.array([self._numbers.get(word, -1) for word in text.split()], dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(n, L) ids of texts, padded with the end token; −1 for unknown words and throughout texts too long."""
        rows = np.full((len(texts), self.length), self.eos_id, dtype=np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = self.ids(text)
            row[: len(ids)] = ids if len(ids) <= self.length else -1
        return rows

    def text(self, ids: Sequence[int]) -> str:
        """Words of one string of ids, without the end tokens that pad it; <eos> where an end token has words behind."""
        shown = ["<eos>" if id_ == self.eos_id else self.words[id_] for id_ in ids]
        while shown and shown[-1] == "<eos>":
            shown.pop()
        return " ".join(shown)

    def translate(self, denoiser, token_ids: np.ndarray) -> np.ndarray:
        """A denoiser's ids (…) -> this language's, word by word: end tokens are `eos_id`, what is no word is −1."""
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
        """(n, L) ids -> (n,) log-probabilities, −inf for what is no sentence."""
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


@cache
def get_language(name: str) -> Language:
    """The language `toy`, `abab` or `grammar`. Raises InputError for any other name."""
    if name == "grammar":
        from discreteness.datasets import grammar

        return Language.from_sentences(name, grammar.sentences(), grammar.LENGTH)
    if name in LANGUAGES:
        from discreteness.datasets import toy

        pair = toy.SENTENCES if name == "toy" else toy.ALTERNATIONS
        return Language.from_sentences(name, dict.fromkeys(pair, 0.5))
    raise InputError(f"language: {name!r} is unknown (expected {' or '.join(LANGUAGES)})")


def sample_rows(language: Language, row: dict) -> pd.DataFrame:
    """A data set of sentences: columns row, prompt (empty: a language has no prompt), answer, source.

    row: `sentences`, how many are drawn (default: every sentence once), and `seed` of the draw (default 0).
    """
    places = np.arange(len(language.token_ids))
    if "sentences" in row:
        places = language.sample(row["sentences"], row.get("seed", 0))
    texts = [language.text(ids) for ids in language.token_ids.tolist()]
    answers = [texts[place] for place in places]
    return pd.DataFrame({"row": range(len(answers)), "prompt": "", "answer": answers, "source": language.name})


# ---- exact information


def entropy(language: Language) -> float:
    """H(X), nats."""
    return float(-(language.probabilities * np.log(language.probabilities)).sum())


def total_correlation(language: Language) -> float:
    """Σ_i H(X_i) − H(X): what one parallel step over all positions costs, as a KL (nats)."""
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
    found = np.zeros(2**length)

    def refine(classes: np.ndarray, bits: int, start: int) -> None:
        """Entropies of all sets that add positions from `start` on to the set `bits`, whose classes are given."""
        for i in range(start, length):
            joint = classes * language.vocab_size + language.token_ids[:, i]
            sums = np.bincount(joint, language.probabilities)
            seen = np.flatnonzero(sums)
            found[bits | 1 << i] = _entropy(sums[seen])
            if i + 1 < length:
                dense = np.empty(len(sums), dtype=np.int64)
                dense[seen] = np.arange(len(seen))
                refine(dense[joint], bits | 1 << i, i + 1)

    refine(np.zeros(len(language.token_ids), dtype=np.int64), 0, 0)
    return found


def information_curve(language: Language) -> np.ndarray:
    """f(k) = E_{|V|=k, i∉V} H(X_i | X_V) for k = 0 … L − 1, exact, nats; it sums to the entropy.

    With h(k) the mean entropy of the sets of k positions, f(k) = h(k + 1) − h(k): V with i is a uniformly drawn set.
    """
    entropies = subset_entropies(language)
    sizes = np.bitwise_count(np.arange(len(entropies)))
    return np.diff(np.bincount(sizes, entropies) / np.bincount(sizes))


def learning_error(denoiser, language: Language, sentences: int, seed: int = 0) -> np.ndarray:
    """What a learned denoiser lacks: E_{|V|=k, i∉V} KL(p(x_i | x_V) ‖ q(x_i | x_V)) for k = 0 … L − 1, nats.

    p is the oracle, q the denoiser behind an empty prompt. Added to the language's information curve it is the
    denoiser's; its sum is what the any-order negative log-likelihood has above the entropy. Averaged over `sentences`
    drawn sentences with one drawn set V each for every k; exact in x_i, so that few suffice.
    """
    from discreteness.denoisers.oracle import OracleDenoiser

    oracle, prompt = OracleDenoiser(language), denoiser.encode_prompt("")
    known = torch.from_numpy(language.token_ids[language.sample(sentences, seed)])
    meaning = language.translate(denoiser, np.arange(denoiser.vocab_size))  # the denoiser's ids -> the language's
    said = torch.from_numpy(np.flatnonzero(meaning >= 0))
    back = torch.tensor([int(np.flatnonzero(meaning == id_)[0]) for id_ in range(language.eos_id + 1)])
    found = np.empty(language.length)
    for k in range(language.length):
        generator = torch.Generator().manual_seed(key(seed, "learning error", k))
        hidden = torch.rand(known.shape, generator=generator).argsort(1) >= k
        queries = hidden.nonzero()
        log_p = oracle.log_probs(known.masked_fill(hidden, language.mask_id), None, queries).double()
        context = back[known].masked_fill(hidden, denoiser.mask_id)
        context = torch.cat([torch.tensor(prompt).expand(sentences, -1).long(), context], 1)
        shifted = queries + torch.tensor([0, len(prompt)])
        q = denoiser.log_probs(context, None, shifted).double().exp().cpu()
        translated = torch.zeros_like(log_p).index_add(1, torch.from_numpy(meaning)[said], q[:, said])
        found[k] = information.kl(log_p, translated.log()).mean()
    return found


# ---- exact samplers


def decoding_distribution(denoiser, length: int, step_sizes: Sequence[int]) -> dict[tuple[int, ...], float]:
    """The strings that parallel decoding in uniformly random order can produce, with their probabilities.

    Step s reveals a uniformly drawn set of step_sizes[s] of the masked positions, each drawn from its own marginal.
    Strings are tuples of `length` ids of the denoiser. Their number grows as the vocabulary to the power of the length:
    for small languages only. Raises InputError where the step sizes do not add up to `length`.
    """
    if sum(step_sizes) != length or min(step_sizes) < 1:
        raise InputError(f"step sizes {list(step_sizes)} do not reveal {length} positions in steps of one or more")
    masked = denoiser.mask_id
    states = {(masked,) * length: 1.0}
    for size in step_sizes:
        marginals = _marginals(denoiser, list(states))
        after: dict[tuple[int, ...], float] = {}
        for (state, probability), marginal in zip(states.items(), marginals, strict=True):
            hidden = [i for i, id_ in enumerate(state) if id_ == masked]
            for chosen in itertools.combinations(hidden, size):
                share = probability / math.comb(len(hidden), size)
                for ids in itertools.product(*(np.flatnonzero(marginal[i]).tolist() for i in chosen)):
                    string = list(state)
                    drawn = share
                    for i, id_ in zip(chosen, ids, strict=True):
                        string[i], drawn = id_, drawn * marginal[i, id_]
                    after[tuple(string)] = after.get(tuple(string), 0.0) + drawn
        states = after
    return states


def _marginals(denoiser, states: list[tuple[int, ...]]) -> np.ndarray:
    """(S, L, V) float64 probabilities at every position of each state, behind the empty prompt; never the mask."""
    prompt = denoiser.encode_prompt("")
    ids = torch.tensor([[*prompt, *state] for state in states])
    positions = torch.arange(len(prompt), ids.shape[1])
    queries = torch.cartesian_prod(torch.arange(len(states)), positions)
    probabilities = denoiser.log_probs(ids, None, queries).double().exp().cpu().numpy()
    probabilities[:, denoiser.mask_id] = 0.0
    probabilities /= probabilities.sum(1, keepdims=True)
    return probabilities.reshape(len(states), len(positions), -1)


@dataclass(frozen=True)
class Verdict:
    """How a sampler's distribution compares with a language; probabilities and nats."""

    strings: int  # different strings of positive probability
    invalid: float  # probability of a string that is no sentence
    unseen_strings: float  # share of the different strings that are no sentences
    forward_kl: float  # KL(language ‖ sampler)
    reverse_kl: float  # KL(sampler ‖ language); infinite as soon as an invalid string is possible


def verdict(language: Language, distribution: Mapping[tuple[int, ...], float]) -> Verdict:
    """Compare a distribution over strings of the language's ids with the language."""
    strings = np.array(list(distribution))
    q, log_p = np.array(list(distribution.values())), language.logprobs(strings)
    invalid = log_p == -np.inf
    said = np.array([distribution.get(tuple(row), 0.0) for row in language.token_ids.tolist()])
    with np.errstate(divide="ignore"):
        forward = (language.probabilities * (np.log(language.probabilities) - np.log(said))).sum()
        reverse = (q * (np.log(q) - log_p)).sum()
    return Verdict(len(strings), float(q[invalid].sum()), float(invalid.mean()), float(forward), float(reverse))
