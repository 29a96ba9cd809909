"""The marginal trap, computed exactly: the distribution of a sampler's strings and the price of parallel decoding.

For languages whose sentences are all known (`discreteness.languages`). Everything in nats.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from discreteness.core import measures
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.core.schedules import equal_sizes
from discreteness.core.statistics import mean_interval
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.languages.language import Language, exact_curve, refined


def check_model(denoiser, language: Language, where: str) -> None:
    """Raise InputError, one line that begins with `where`, for a model that cannot fill in the language's sentences.

    The model needs masks, of which several are filled in at the same time (an autoregressive model has none, and
    without a start token it does not predict a sentence's first word), EOS, a token for each word of the language, and
    room for a sentence after the empty prompt.
    """
    if denoiser.corruption != "mask":
        raise InputError(
            f"{where}: its corruption is {denoiser.corruption!r} (expected 'mask', a model that fills in masks: "
            f"strings of language {language.name} are drawn several words at a time)"
        )
    meaning = language.translate(denoiser, np.arange(denoiser.vocab_size))
    missing = [word for id_, word in enumerate([*language.words, "<eos>"]) if id_ not in meaning]
    if missing:
        raise InputError(
            f"{where}: its vocabulary has no token for {len(missing)} of the {language.eos_id + 1} words of language "
            f"{language.name} ({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''})"
        )
    length = len(denoiser.encode_prompt("")) + language.length
    if length > denoiser.context_length:
        raise InputError(
            f"{where}: its context of {denoiser.context_length} tokens has no room for the empty prompt and a sentence "
            f"of language {language.name}, {length} tokens"
        )


def decoding_distribution(denoiser, length: int, step_sizes: Sequence[int]) -> dict[tuple[int, ...], float]:
    """The strings that parallel decoding in uniformly random order can produce -> their probabilities.

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
    """(S, L, V) float64 probabilities at every position of each state, after the empty prompt; 0 for the mask."""
    prompt = denoiser.encode_prompt("")
    ids = torch.tensor([[*prompt, *state] for state in states])
    positions = torch.arange(len(prompt), ids.shape[1])
    queries = torch.cartesian_prod(torch.arange(len(states)), positions)
    probabilities = denoiser.log_probs(ids, None, queries).double().exp().cpu().numpy()
    probabilities[:, denoiser.mask_id] = 0.0
    probabilities /= probabilities.sum(1, keepdims=True)
    return probabilities.reshape(len(states), len(positions), -1)


def learning_error(denoiser, language: Language, sentences: int, seed: int = 0) -> np.ndarray:
    """Error of a learned denoiser: E_{|V|=k, i∉V} KL(p(x_i | x_V) ‖ q(x_i | x_V)) for k = 0 … L − 1, (L,) nats.

    p is the oracle, q the denoiser after an empty prompt. The language's information curve plus this error is the
    denoiser's curve; the sum of the error is the any-order negative log-likelihood minus the entropy. Estimated from
    `sentences` drawn sentences, with one drawn set V for each and every k; exact in x_i, so that few sentences suffice.
    """
    oracle, prompt = OracleDenoiser(language), denoiser.encode_prompt("")
    drawn = torch.from_numpy(language.token_ids[language.sample(sentences, seed)])
    meaning = language.translate(denoiser, np.arange(denoiser.vocab_size))  # the denoiser's ids -> the language's
    known_ids = torch.from_numpy(np.flatnonzero(meaning >= 0))
    denoiser_ids = torch.tensor([int(np.flatnonzero(meaning == id_)[0]) for id_ in range(language.eos_id + 1)])
    errors = np.empty(language.length)
    for k in range(language.length):
        generator = torch.Generator().manual_seed(key(seed, "learning error", k))
        hidden = torch.rand(drawn.shape, generator=generator).argsort(1) >= k
        queries = hidden.nonzero()
        log_p = oracle.log_probs(drawn.masked_fill(hidden, language.mask_id), None, queries).double()
        context = denoiser_ids[drawn].masked_fill(hidden, denoiser.mask_id)
        context = torch.cat([torch.tensor(prompt).expand(sentences, -1).long(), context], 1)
        shifted = queries + torch.tensor([0, len(prompt)])
        q = denoiser.log_probs(context, None, shifted).double().exp().cpu()
        translated = torch.zeros_like(log_p).index_add(1, torch.from_numpy(meaning)[known_ids], q[:, known_ids])
        errors[k] = measures.kl(log_p, translated.log()).mean()
    return errors


def sampled_price(denoiser, language: Language, step_sizes: Sequence[int], sentences: int, seed: int = 0) -> np.ndarray:
    """log p(x) − log q(x | order) for drawn sentences x of the language, each with a random order, (sentences,) nats.

    q is parallel decoding with `denoiser`: step s reveals the next step_sizes[s] positions of the order, each from its
    marginal. The mean estimates the KL from the language to the sampler given the order, averaged over orders. It needs
    only samples of the language and the denoiser, no table of sentences.
    """
    prompt = denoiser.encode_prompt("")
    drawn = torch.from_numpy(language.token_ids[language.sample(sentences, seed)])
    meaning = language.translate(denoiser, np.arange(denoiser.vocab_size))
    denoiser_ids = torch.tensor([int(np.flatnonzero(meaning == id_)[0]) for id_ in range(language.eos_id + 1)])
    known_ids = torch.from_numpy(np.flatnonzero(meaning >= 0))
    generator = torch.Generator().manual_seed(key(seed, "sampled price"))
    rank = torch.rand(drawn.shape, generator=generator).argsort(1).argsort(1)
    log_q, first = torch.zeros(sentences, dtype=torch.float64), 0
    for size in step_sizes:
        visible, revealed = rank < first, (rank >= first) & (rank < first + size)
        state = torch.cat([torch.tensor(prompt).expand(sentences, -1).long(), denoiser_ids[drawn]], 1)
        state[:, len(prompt) :][~visible] = denoiser.mask_id
        queries = revealed.nonzero()
        log_p = denoiser.log_probs(state, None, queries + torch.tensor([0, len(prompt)])).double().cpu()
        targets = denoiser_ids[drawn[queries[:, 0], queries[:, 1]]]
        log_p = log_p.gather(1, targets[:, None])[:, 0] - log_p[:, known_ids].logsumexp(1)  # without the mask
        log_q.index_add_(0, queries[:, 0], log_p)
        first += size
    return language.logprobs(drawn.numpy()) - log_q.numpy()


def own_kl(language: Language, step_sizes: Sequence[int]) -> float:
    """KL from the language to the sampler's distribution: parallel decoding with the oracle, mixed over all orders.

    At most the KL averaged over orders (Jensen). Exact for one or two steps, and for one position per step, where it is
    0; NaN otherwise, as there are too many sets of positions. Nats.
    """
    sizes, length = list(step_sizes), language.length
    if sizes == [1] * length:
        return 0.0
    if len(sizes) > 2:
        return float("nan")
    ids, p = language.token_ids, language.probabilities
    alone = np.stack([np.bincount(column, p)[column] for column in ids.T], 1)  # (N, L) marginal of each token
    q, sets = np.zeros(len(ids)), list(itertools.combinations(range(length), sizes[0]))
    for chosen in sets:
        string = alone[:, list(chosen)].prod(1)
        context, masses = np.zeros(len(ids), dtype=np.int64), np.ones(1)
        for i in chosen:
            context, masses = refined(language, context, i)
        for i in set(range(length)) - set(chosen):
            joint, joint_masses = refined(language, context, i)
            string = string * joint_masses[joint] / masses[context]
        q += string / len(sets)
    return float((p * (np.log(p) - np.log(q))).sum())


def price_table(denoiser, language: Language, steps: Sequence[int], sentences: int, seed: int = 0) -> pd.DataFrame:
    """Columns steps, statistic, value, low, high, samples: what decoding in random order costs, nats per sentence.

    expected_kl: averaged over orders, from the information curve: exact for the oracle, otherwise with the model's
    learning error, estimated from `sentences` contexts for each number of visible tokens. sampled_kl: the same from
    sampled sentences and orders, with a 95 % interval. own_kl: of the mixture over orders, for the oracle (`own_kl`).
    Smallest number of sentences: 1, and 2 for the interval.
    """
    curve = exact_curve(language)
    oracle = isinstance(denoiser, OracleDenoiser)
    f = curve if oracle else curve + learning_error(denoiser, language, sentences, seed)
    rows = []
    for count in steps:
        sizes = equal_sizes(language.length, count, "last")
        starts = np.cumsum([0, *sizes[:-1]])
        exact = float(np.dot(sizes, f[starts]) - curve.sum())
        rows.append((count, "expected_kl", exact, np.nan, np.nan, 0 if oracle else sentences))
        prices = sampled_price(denoiser, language, sizes, sentences, seed)
        rows.append((count, "sampled_kl", *mean_interval(prices), sentences))
        if oracle and not np.isnan(own := own_kl(language, sizes)):
            rows.append((count, "own_kl", own, np.nan, np.nan, 0))
    return pd.DataFrame(rows, columns=["steps", "statistic", "value", "low", "high", "samples"])


def toy_table(language: Language, denoisers: Mapping[str, object]) -> pd.DataFrame:
    """Every string's probability under the data and under decoding in one step, in two, and one at a time.

    Columns language, model, decoding, string, probability, seen (whether the string is a sentence). Two steps: first
    one random position, then the others. The strings are all combinations of the words that occur at each position.
    """
    choices = [sorted({int(id_) for id_ in column}) for column in language.token_ids.T]
    strings = list(itertools.product(*choices))
    texts, seen = [language.text(string) for string in strings], language.contains(np.array(strings))
    data = dict(zip(map(tuple, language.token_ids.tolist()), language.probabilities, strict=True))
    sizes = {
        "one step": [language.length],
        "two steps": [1, language.length - 1],
        "sequential": [1] * language.length,
    }
    distributions = {("data", "data"): data}
    for name, denoiser in denoisers.items():
        for decoding, step_sizes in sizes.items():
            probabilities: dict[tuple[int, ...], float] = {}
            for ids, probability in decoding_distribution(denoiser, language.length, step_sizes).items():
                string = tuple(language.translate(denoiser, np.array(ids)).tolist())
                probabilities[string] = probabilities.get(string, 0.0) + probability
            distributions[name, decoding] = probabilities
    frames = [
        pd.DataFrame(
            {
                "language": language.name,
                "model": model,
                "decoding": decoding,
                "string": texts,
                "probability": [probabilities.get(string, 0.0) for string in strings],
                "seen": seen,
            }
        )
        for (model, decoding), probabilities in distributions.items()
    ]
    return pd.concat(frames, ignore_index=True)
