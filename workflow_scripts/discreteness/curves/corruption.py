"""Information kept at each noise level: masks, random tokens and Gaussian noise, on a language that is known.

A sentence x is corrupted position by position to z at noise t (0: none; 1: nothing of x is left):
  mask      each token is hidden with probability t;
  uniform   each token is replaced with probability t by one drawn uniformly from the vocabulary (words and EOS);
  gaussian  z_i = √(1 − t) e(x_i) + √t ε, ε standard normal: variance t of the noise, embeddings e one-hot by default.
The posterior p(x | z) over the listed sentences is exact; only sentences and corruptions are drawn. Two measures:
  tokens    1 − Σ_i H(X_i | z) / Σ_i H(X_i), where E[−log p(x_i | z)] = H(X_i | z): the mean of Σ_i R_i as a share of
            its value at t = 0+. There every token is known and R_i = −log u(x_i), with u the marginal of position i,
            which is all that is known at t = 1;
  sentence  1 − H(X | z) / H(X): the share of the information about the whole sentence.
A corruption that is smooth in information would keep 1 − t: the diagonal.
"""

from collections.abc import Sequence

import numpy as np
import torch

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.languages.language import Language, entropy, total_correlation

KINDS = ("mask", "uniform", "gaussian")
MEASURES = ("tokens", "sentence")
NOISE = tuple(np.linspace(0, 1, 21))
_CHUNK = 256  # sentences at a time: bounds memory


def information_kept(
    language: Language,
    kind: str,
    noise: Sequence[float] = NOISE,
    sentences: int = 512,
    seed: int = 0,
    embeddings: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """measure -> (sentences, noise levels): information kept by each drawn sentence; the mean over them estimates I(t).

    A sentence's randomness is keyed by its number and the same at all noise levels, which makes the curves smooth.
    embeddings: (V, d) rows e(v) for kind `gaussian`, V words and EOS. Raises InputError for an unknown kind and
    for noise outside [0, 1].
    """
    if kind not in KINDS:
        raise InputError(f"corruption: {kind!r} is unknown (expected {', '.join(KINDS)})")
    if min(noise) < 0 or max(noise) > 1:
        raise InputError(f"corruption: noise from {min(noise)} to {max(noise)} (expected 0 to 1)")
    size = language.mask_id  # V without the mask
    embeddings = np.eye(size) if embeddings is None else np.asarray(embeddings, dtype=np.float64)
    drawn = language.token_ids[language.sample(sentences, seed)]  # (S, L)
    of_sentence = entropy(language)
    of_tokens = of_sentence + total_correlation(language)
    kept = {measure: np.empty((sentences, len(noise))) for measure in MEASURES}
    for first in range(0, sentences, _CHUNK):
        numbers = range(first, min(first + _CHUNK, sentences))
        ids = drawn[first : first + _CHUNK]
        randoms = _randoms(language, kind, numbers, seed, embeddings.shape[1])
        for column, t in enumerate(noise):
            tokens, sentence = _posterior_entropies(language, _log_likelihood(kind, ids, t, randoms, embeddings))
            kept["tokens"][first : first + _CHUNK, column] = 1 - tokens / of_tokens
            kept["sentence"][first : first + _CHUNK, column] = 1 - sentence / of_sentence
    return kept


def _randoms(language: Language, kind: str, numbers: range, seed: int, width: int) -> dict[str, np.ndarray]:
    """Draws of the numbered sentences: uniform (S, L), tokens (S, L) int, normal (S, L, d) for kind `gaussian`."""
    draws: dict[str, list] = {"uniform": [], "tokens": [], "normal": []}
    for number in numbers:
        generator = np.random.default_rng(key(seed, "corruption", language.name, kind, number))
        draws["uniform"].append(generator.random(language.length))
        draws["tokens"].append(generator.integers(language.mask_id, size=language.length))
        if kind == "gaussian":
            draws["normal"].append(generator.standard_normal((language.length, width)))
    return {name: np.array(values) for name, values in draws.items()}


def _log_likelihood(kind: str, ids: np.ndarray, t: float, randoms: dict, embeddings: np.ndarray) -> np.ndarray:
    """log p(z_i | x_i = v) for every v, up to a constant in v: (S, L) ids -> (S, L, V)."""
    size = len(embeddings)
    known = np.where(ids[..., None] == np.arange(size), 0.0, -np.inf)
    if t == 0:
        return known
    if kind == "mask":
        return np.where((randoms["uniform"] < t)[..., None], 0.0, known)
    if kind == "uniform":
        seen = np.where(randoms["uniform"] < t, randoms["tokens"], ids)
        return np.log((1 - t) * (seen[..., None] == np.arange(size)) + t / size)
    noisy = np.sqrt(1 - t) * embeddings[ids] + np.sqrt(t) * randoms["normal"]  # (S, L, d)
    return (np.sqrt(1 - t) * noisy @ embeddings.T - (1 - t) / 2 * (embeddings**2).sum(1)) / t


def _posterior_entropies(language: Language, log_likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ_i H(X_i | z) and H(X | z), (S,) nats each, from the likelihood (S, L, V) of every token at every position."""
    log_weight = np.broadcast_to(np.log(language.probabilities), (len(log_likelihood), len(language.probabilities)))
    log_weight = log_weight.copy()  # (S, N)
    for i in range(language.length):
        log_weight += log_likelihood[:, i, language.token_ids[:, i]]
    posterior = np.exp(log_weight - log_weight.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    posterior = torch.from_numpy(posterior)
    tokens = np.zeros(len(posterior))
    for i in range(language.length):
        distinct, column = np.unique(language.token_ids[:, i], return_inverse=True)
        tokens += _entropy(posterior @ torch.from_numpy(np.eye(len(distinct))[column]))
    return tokens, _entropy(posterior)


def _entropy(probabilities: torch.Tensor) -> np.ndarray:
    return torch.special.entr(probabilities).sum(-1).numpy()


def kept_by_masking(f: Sequence[float], noise: Sequence[float]) -> dict[str, np.ndarray]:
    """measure -> information kept when each token is masked with probability t, exactly from an information curve.

    With k ~ Binomial(L, 1 − t) visible tokens: `tokens` is E[1 − (L − k) / L · f(k) / f(0)], as visible tokens are
    known and f(0) is the loss of a token when nothing is visible; `sentence` is E[Σ_{j<k} f(j)] / Σ_j f(j), by the
    chain rule. This holds for any model whose curve was measured; information in the prompt does not count, as the
    prompt is never masked.
    """
    f, noise = np.asarray(f, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    length = len(f)
    k = np.arange(length + 1)
    tokens = 1 - (length - k) / length * np.append(f, 0.0) / f[0]
    sentence = np.append(0.0, np.cumsum(f)) / f.sum()
    visible = torch.distributions.Binomial(length, torch.from_numpy(1 - noise)[:, None])
    weights = visible.log_prob(torch.from_numpy(k.astype(np.float64))).exp().numpy()  # (T, L + 1)
    return {"tokens": weights @ tokens, "sentence": weights @ sentence}


def mismatch(noise: Sequence[float], kept: np.ndarray) -> np.ndarray:
    """∫ |kept(t) − (1 − t)| dt by trapezoids: the area between a curve (…, T) and the diagonal, at most 1/2."""
    noise = np.asarray(noise)
    return np.trapezoid(np.abs(kept - (1 - noise)), noise, axis=-1)


def information_smooth(noise: Sequence[float], kept: Sequence[float], s: Sequence[float]) -> np.ndarray:
    """t(s), the noise under which information falls linearly in s: kept(t(s)) = kept(0) + s (kept(1) − kept(0)).

    noise: rising levels; kept: the curve measured at them, made monotone by isotonic regression and linear in between.
    Where information does not fall, t jumps over the flat stretch.
    """
    from scipy.optimize import isotonic_regression  # takes half a second, and few jobs need it

    falling = isotonic_regression(kept, increasing=False).x
    goal = falling[0] + np.asarray(s) * (falling[-1] - falling[0])
    _, first = np.unique(-falling, return_index=True)  # of a flat stretch only the first point is kept
    return np.interp(-goal, -falling[first], np.asarray(noise, dtype=np.float64)[first])
