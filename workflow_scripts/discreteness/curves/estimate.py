"""The information curve of a model on reference answers, token by token.

f(k) = E[−log p(x_i | c, x_V)] over uniformly drawn sets V of k visible answer tokens and a token i outside V. Any one
V gives an unbiased estimate: the mean over its masked tokens, all from one forward pass. A long answer is not measured
at every k: 0 … L − 1 is cut into strata, and every replicate draws one k uniformly from each stratum, so that
Σ_strata (levels in the stratum) · (mean over masked tokens) is unbiased for Σ_k f(k), the any-order negative
log-likelihood of the answer. Every replicate covers all strata, and the draws of a prompt's replicates are spread
evenly over each stratum.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from discreteness.core import token_classes, unigram
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.core.scoring import State, masked_state, score_tokens
from discreteness.datasets.prompts import fit_prompts
from discreteness.denoisers.base import Denoiser

LEVELS = 24  # strata of an answer longer than EXACT
EXACT = 32  # answers up to this length are measured at every k
TOGETHER = 64  # prompts whose records are held in memory
COLUMNS = [
    *("prompt_id", "padding", "replicate", "visible", "span", "weight"),
    *("position", "distance_to_visible", "answer_token_id", "token_class", "answer_logprob", "unigram_logprob"),
]
MODES = ("answer", "padded")  # what is measured: an answer's own tokens, or these and the padding after them


@dataclass
class References:
    """Encoded prompts with their reference answers, and the unigram distribution."""

    prompt_ids: list[str]
    prompts: list[list[int]]
    answers: list[np.ndarray]  # (L,) int64 each, as long as what is measured
    log_unigram: np.ndarray  # (V,) nats
    padding: bool = False  # whether the answers are padded with EOS


@dataclass(frozen=True)
class MaskedAnswer:
    """A reference answer with some of its tokens visible and the others masked."""

    index: int  # of the prompt in References
    replicate: int
    visible: np.ndarray  # (L,) bool
    weight: int  # values of k that it stands for


def prepare(
    denoiser: Denoiser, rows: pd.DataFrame, chosen: pd.DataFrame, span: int, mode: str, long_prompts: str = "refuse"
) -> References:
    """Encode the chosen prompts; the unigram comes from the answers of all `rows`, whatever is chosen or sharded.

    mode: `answer`, an answer's own tokens, cut at `span`; or `padded`, filled up to `span` with EOS, as a model
    generates it. The unigram counts what is measured: the padding in mode `padded` only.
    long_prompts: see `fit_prompts`; prompts are skipped or truncated so that `span` tokens fit, in every mode alike.
    Raises InputError for an unknown mode, a model without masks, an answer without tokens and a prompt that does not
    fit the context.
    """
    if mode not in MODES:
        raise InputError(f"curve: mode = {mode!r} is unknown (expected {' or '.join(MODES)})")
    if denoiser.corruption != "mask":
        raise InputError(f"model: its corruption is {denoiser.corruption!r}; a curve hides tokens behind masks")
    encoded = [np.asarray(denoiser.encode_answer(answer)[:span], dtype=np.int64) for answer in rows["answer"]]
    for prompt_id, answer in zip(rows["prompt_id"], encoded, strict=True):
        if not len(answer):
            raise InputError(f"prompt {prompt_id}: the answer has no tokens")
    if mode == "padded":
        encoded = list(unigram.pad_answers([answer.tolist() for answer in encoded], span, denoiser.eos_ids[0]))
    answer_of = dict(zip(rows["prompt_id"], encoded, strict=True))
    lengths = [len(answer_of[prompt_id]) for prompt_id in chosen["prompt_id"]] if long_prompts == "refuse" else span
    chosen, prompts = fit_prompts(denoiser, chosen, lengths, long_prompts)
    answers = [answer_of[prompt_id] for prompt_id in chosen["prompt_id"]]
    log_unigram = np.log(unigram.unigram(np.concatenate(encoded), denoiser.vocab_size))
    return References(list(chosen["prompt_id"]), prompts, answers, log_unigram, mode == "padded")


def strata(length: int, levels: int = LEVELS) -> np.ndarray:
    """Edges (G + 1,) of the strata of k = 0 … L − 1; stratum j holds edges[j] … edges[j + 1] − 1.

    Every k by itself up to EXACT tokens or `levels`; else `levels` strata, finer where little is visible and the curve
    is steep (edges at L (j / G)^1.5). The first and the last k are strata of their own.
    """
    if length <= max(EXACT, levels):
        return np.arange(length + 1)
    if levels < 3:
        raise InputError(f"curve: levels = {levels} are too few (expected 3 or more)")
    inner = 1 + (length - 2) * (np.arange(levels - 1) / (levels - 2)) ** 1.5  # between the first and the last k
    inner = np.maximum(np.rint(inner).astype(int), 1 + np.arange(levels - 1))  # no stratum is empty
    return np.concatenate([[0], inner, [length]])


def mask_for_curve(references: References, seed: int, replicates: int = 1, levels: int = LEVELS) -> list[MaskedAnswer]:
    """What the information curve scores: for every prompt, replicate and stratum one k and a random set of k tokens.

    The k of replicate r is at the share (u + r / R) mod 1 of its stratum, u uniform by prompt and stratum: uniform for
    each replicate, evenly spread over the replicates. The k visible tokens are the first of a random order drawn by
    prompt and replicate, so that a replicate's sets grow into each other: each is uniform, and the differences between
    values of f, which are what parallelism costs, share most of their noise (against sets drawn anew at every k, the
    standard error of a price falls by a third on the grammar; that of Σ f rises by half).
    """
    masked_answers = []
    for index, (prompt_id, answer) in enumerate(zip(references.prompt_ids, references.answers, strict=True)):
        edges = strata(len(answer), levels)
        orders = [
            np.random.default_rng(key(seed, "curve", prompt_id, replicate)).permutation(len(answer))
            for replicate in range(replicates)
        ]
        for stratum, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            start = key(seed, "curve level", prompt_id, stratum) / 2**63
            for replicate in range(replicates):
                share = (start + replicate / replicates) % 1
                k = int(first + share * (last - first))
                visible = np.zeros(len(answer), dtype=bool)
                visible[orders[replicate][:k]] = True
                masked_answers.append(MaskedAnswer(index, replicate, visible, weight=int(last - first)))
    return masked_answers


def measured_curve(
    denoiser: Denoiser,
    references: References,
    seed: int,
    batch_tokens: int,
    replicates: int = 1,
    levels: int = LEVELS,
) -> Iterator[pd.DataFrame]:
    """Tables of COLUMNS, one row per masked token of every masked answer, some prompts per table; see `in_order`.

    Work is linear in prompts × replicates × levels.
    """
    yield from in_order(denoiser, references, mask_for_curve(references, seed, replicates, levels), batch_tokens)


def score(
    denoiser: Denoiser,
    references: References,
    masked_answers: list[MaskedAnswer],
    batch_tokens: int,
    padding: float = 0.0,
) -> Iterator[pd.DataFrame]:
    """Tables of COLUMNS for the masked tokens of any masked answers, one table for every batch.

    Batches hold at most `batch_tokens` tokens in sequences of nearly the same length (`padding`, see
    `scoring.batches`; 0, the default, needs no attention mask, and a prompt's own masked answers fill a batch anyway).
    Raises InputError for non-finite logits, answers without a finite log-probability and a device that is too small.
    """
    _, classes = token_classes.vocabulary(denoiser)
    classes = pd.Categorical(classes, categories=token_classes.CLASSES)

    def state_and_tokens(place: int) -> tuple[State, np.ndarray]:
        index, masked = masked_answers[place].index, ~masked_answers[place].visible
        answer = references.answers[index]
        state = masked_state(
            prompt_id=references.prompt_ids[index],
            prompt=references.prompts[index],
            answer=answer,
            masked=masked,
            queries=np.flatnonzero(masked),
            mask_id=denoiser.mask_id,
        )
        return state, answer[masked]

    lengths = [len(references.prompts[masked.index]) + len(masked.visible) for masked in masked_answers]
    scored = score_tokens(denoiser, lengths, state_and_tokens, batch_tokens, name="states", padding=padding)
    for batch, logprobs in scored:
        yield _records(references, [masked_answers[place] for place in batch], logprobs, classes)


def _records(
    references: References, masked_answers: list[MaskedAnswer], logprobs: list[np.ndarray], classes: pd.Categorical
) -> pd.DataFrame:
    """COLUMNS of some masked answers. logprobs: (masked tokens,) of each, nats."""
    row = np.repeat(np.arange(len(masked_answers)), list(map(len, logprobs)))
    position = np.concatenate([np.flatnonzero(~masked.visible) for masked in masked_answers])
    distances = [distance_to_visible(masked.visible)[~masked.visible] for masked in masked_answers]
    answers = np.concatenate([references.answers[masked.index][~masked.visible] for masked in masked_answers])
    names = np.array([references.prompt_ids[masked.index] for masked in masked_answers])
    logprob = np.concatenate(logprobs)
    if not np.isfinite(logprob).all():
        bad = int((~np.isfinite(logprob)).argmax())
        raise InputError(f"prompt {names[row[bad]]}: the answer's token at position {position[bad]} is impossible")
    return pd.DataFrame(
        {
            "prompt_id": names[row],
            "padding": references.padding,
            "replicate": np.array([masked.replicate for masked in masked_answers])[row],
            "visible": np.array([masked.visible.sum() for masked in masked_answers])[row],
            "span": np.array([len(masked.visible) for masked in masked_answers])[row],
            "weight": np.array([masked.weight for masked in masked_answers])[row],
            "position": position,
            "distance_to_visible": np.concatenate(distances),
            "answer_token_id": answers,
            "token_class": np.asarray(classes.take(answers)),
            "answer_logprob": logprob,
            "unigram_logprob": references.log_unigram[answers].astype(np.float32),
        }
    )


def distance_to_visible(visible: np.ndarray) -> np.ndarray:
    """(L,) bool -> (L,) positions to the nearest visible token, 0 for a visible one.

    Position −1 counts as visible: it is the prompt's last token, or the begin of the answer where there is no prompt.
    So position i is never farther than i + 1.
    """
    places = np.concatenate([[-1], np.flatnonzero(visible)])
    position = np.arange(len(visible))
    after = np.searchsorted(places, position)
    left = position - places[np.maximum(after - 1, 0)]
    right = np.where(after < len(places), places[np.minimum(after, len(places) - 1)] - position, len(visible) + 1)
    return np.minimum(left, right)


def in_order(
    denoiser: Denoiser,
    references: References,
    masked_answers: list[MaskedAnswer],
    batch_tokens: int,
    together: int = TOGETHER,
) -> Iterator[pd.DataFrame]:
    """`score` for any number of prompts in bounded memory: a table for every `together` of them, in their order.

    There is always one table, without rows where there is nothing to score.
    """
    by_prompt = sorted(masked_answers, key=lambda masked: masked.index)
    for _, group in groupby(by_prompt, lambda masked: masked.index // together):
        yield collect(score(denoiser, references, list(group), batch_tokens), references)
    if not masked_answers:
        yield collect([], references)


def collect(tables: Iterable[pd.DataFrame], references: References) -> pd.DataFrame:
    """All tables as one, rows by prompt, replicate, k and position, whatever the batches were."""
    tables = list(tables)
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    records = pd.concat(tables, ignore_index=True)
    place = records["prompt_id"].map({id_: i for i, id_ in enumerate(references.prompt_ids)})
    order = np.lexsort([records["position"], records["visible"], records["replicate"], place])
    return records.iloc[order].reset_index(drop=True)[COLUMNS]
