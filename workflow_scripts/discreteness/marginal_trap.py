"""The marginal trap where it can be computed: what a sampler's strings and a model's predictions are, exactly.

For languages whose sentences are all known (`languages.py`). Everything in nats.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from discreteness import information
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.errors import InputError
from discreteness.languages import Language
from discreteness.randomness import key


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


def learning_error(denoiser, language: Language, sentences: int, seed: int = 0) -> np.ndarray:
    """What a learned denoiser lacks: E_{|V|=k, i∉V} KL(p(x_i | x_V) ‖ q(x_i | x_V)) for k = 0 … L − 1, nats.

    p is the oracle, q the denoiser behind an empty prompt. Added to the language's information curve it is the
    denoiser's; its sum is what the any-order negative log-likelihood has above the entropy. Averaged over `sentences`
    drawn sentences with one drawn set V each for every k; exact in x_i, so that few suffice.
    """
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
