"""Single-pass probing: predictions at every token of an unknown answer, from one forward pass.

The experiment of arXiv 2512.22630, with measures of how predictions collapse with distance from the prompt.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from discreteness.core import measures, token_classes, unigram
from discreteness.core.columns import POSITIONS
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.core.scoring import log_probs, run_batches
from discreteness.datasets.prompts import fit_prompts
from discreteness.denoisers.base import Denoiser
from discreteness.probing.states import fully_corrupted_state
from discreteness.probing.sums import GROUPS, Sums

POSITION_COLUMNS = ["prompt_id", *POSITIONS]
TOKEN_COLUMNS = ["prompt_id", "position", "rank", "token_id", "token", "probability", "token_class"]


@dataclass
class Task:
    """What a probe needs besides the model: encoded prompts with their names, reference answers and unigrams.

    skipped: names of the prompts that do not fit the model's context and are left out.
    """

    prompt_ids: list[str]
    prompts: list[list[int]]
    answers: np.ndarray  # (n, span) reference tokens, padded with the end-of-sequence token
    positional_logprob: np.ndarray  # (n, span) nats
    log_unigram: torch.Tensor  # (V,) nats, of answers with their padding
    log_unigram_without_eos: torch.Tensor  # (V,) nats, of answers without padding and special tokens
    seed: int  # of random canvases
    skipped: list[str] = field(default_factory=list)


def prepare(
    denoiser: Denoiser,
    rows: pd.DataFrame,
    chosen: pd.DataFrame,
    span: int,
    top_k: int,
    seed: int,
    long_prompts: str = "refuse",
) -> Task:
    """Encode the chosen prompts; take the unigrams from the answers of all `rows`, whatever is chosen or sharded.

    long_prompts: how to treat a prompt that does not fit the model's context together with the span (see
    `fit_prompts`). Raises InputError as `fit_prompts`, and for a `top_k` larger than the vocabulary.
    """
    if top_k > denoiser.vocab_size:
        raise InputError(f"config: probe.top_k = {top_k} is more than the model's {denoiser.vocab_size} tokens")
    fitting, prompts = fit_prompts(denoiser, chosen, denoiser.canvas_length or span, long_prompts)
    answers = [denoiser.encode_answer(answer) for answer in rows["answer"]]
    padded = unigram.pad_answers(answers, span, denoiser.eos_ids[0])
    positional = unigram.positional_logprobs(padded, denoiser.vocab_size)
    places = pd.Index(rows["prompt_id"]).get_indexer(fitting["prompt_id"])
    unpadded = np.concatenate([np.asarray(answer[:span], dtype=np.int64) for answer in answers])
    unpadded_unigram = torch.from_numpy(unigram.unigram(unpadded, denoiser.vocab_size)).log().float()
    return Task(
        prompt_ids=list(fitting["prompt_id"]),
        prompts=prompts,
        answers=padded[places],
        positional_logprob=positional[places],
        log_unigram=torch.from_numpy(unigram.unigram(padded, denoiser.vocab_size)).log().float(),
        log_unigram_without_eos=measures.renormalise_without(unpadded_unigram, special_mask(denoiser)),
        seed=seed,
        skipped=sorted(set(chosen["prompt_id"]) - set(fitting["prompt_id"])),
    )


def special_mask(denoiser: Denoiser) -> torch.Tensor:
    """(V,) bool, True at tokens that are not text."""
    mask = torch.zeros(denoiser.vocab_size, dtype=torch.bool)
    mask[list(denoiser.special_ids)] = True
    return mask


def probe(
    denoiser: Denoiser, task: Task, span: int, top_k: int, batch_tokens: int
) -> tuple[pd.DataFrame, pd.DataFrame, Sums]:
    """Show the model `span` unknown tokens after every prompt and describe its predictions.

    What stands for an unknown token depends on the model's corruption (`fully_corrupted_state`); where it is random,
    probabilities are averaged over `denoiser.canvases` draws. Returns (positions, tokens, sums); the tables' columns
    are described in `columns.COLUMNS`. Token texts and classes are those of the model's vocabulary. A batch that does
    not fit the device's memory is halved. Raises InputError naming the prompts for non-finite logits.
    """
    texts, classes = token_classes.vocabulary(denoiser)
    special = special_mask(denoiser).to(denoiser.device)
    sums = Sums.empty(span, denoiser.vocab_size, denoiser.device)
    positions, tokens = {}, {}

    def run(batch: list[int]):
        log_p = predict(denoiser, task, batch, span)  # (B, span, V)
        described = _describe(log_p, task, batch, special, denoiser.eos_ids)
        top = log_p.topk(top_k, dim=-1)
        return log_p.exp(), described, top.indices.cpu().numpy(), top.values.exp().cpu().numpy()

    lengths = [len(prompt) + (denoiser.canvas_length or span) for prompt in task.prompts]
    for batch, results in run_batches(run, lengths, batch_tokens, name="prompts", unit="prompt"):
        probabilities, described, top_ids, top_probabilities = results
        for row, index in enumerate(batch):
            prompt_id = task.prompt_ids[index]
            columns = {name: value[row] for name, value in described.items()}
            positions[index] = _position_rows(prompt_id, columns, texts, classes)
            tokens[index] = _token_rows(prompt_id, top_ids[row], top_probabilities[row], texts, classes)
            sums.add(key(0, "jackknife", prompt_id) % GROUPS, probabilities[row], columns["entropy"])
    sums.probability = sums.probability.cpu()
    return _stack(positions, POSITION_COLUMNS), _stack(tokens, TOKEN_COLUMNS), sums


def predict(denoiser: Denoiser, task: Task, batch: list[int], span: int) -> torch.Tensor:
    """(B, span, V) log-probabilities at the unknown tokens after each prompt of a batch, averaged over canvases."""
    total = None
    for replicate in range(denoiser.canvases):
        log_p = _single_pass(denoiser, task, batch, span, replicate)
        total = log_p if total is None else torch.logaddexp(total, log_p)
    return total if denoiser.canvases == 1 else total - math.log(denoiser.canvases)


def _single_pass(denoiser: Denoiser, task: Task, batch: list[int], span: int, replicate: int) -> torch.Tensor:
    """(B, span, V) log-probabilities of one forward pass."""
    states = [
        fully_corrupted_state(
            denoiser,
            prompt_id=task.prompt_ids[index],
            prompt=task.prompts[index],
            answer=task.answers[index],
            seed=task.seed,
            replicate=replicate,
        )
        for index in batch
    ]
    return log_probs(denoiser, states).view(len(batch), span, -1)


def _describe(log_p: torch.Tensor, task: Task, batch: list[int], special: torch.Tensor, eos_ids) -> dict:
    """Every number of a batch by position, name -> (B, span) array."""
    answers = torch.as_tensor(task.answers[batch], device=log_p.device)
    without_eos = measures.renormalise_without(log_p, special)
    half = log_p.shape[1] // 2
    js_next, js_far = (_difference(log_p, distance) for distance in (1, half))
    top1, top1_without_eos = log_p.max(-1), without_eos.max(-1)
    device = log_p.device
    numbers = {
        "entropy": measures.entropy(log_p),
        "entropy_without_eos": measures.entropy(without_eos),
        "top1_probability": top1.values.exp(),
        "top1_probability_without_eos": top1_without_eos.values.exp(),
        "eos_probability": log_p[..., list(eos_ids)].exp().sum(-1),
        "top1_token_id": top1.indices,
        "top1_token_id_without_eos": top1_without_eos.indices,
        "answer_token_id": answers,
        "answer_logprob": log_p.gather(-1, answers[..., None])[..., 0],
        "kl_unigram": measures.kl(log_p, task.log_unigram.to(device)),
        "kl_unigram_without_eos": measures.kl(without_eos, task.log_unigram_without_eos.to(device)),
        "js_next": js_next,
        "js_far": js_far,
    }
    described = {name: value.cpu().numpy() for name, value in numbers.items()}
    described["positional_logprob"] = task.positional_logprob[batch]
    return described


def _difference(log_p: torch.Tensor, distance: int) -> torch.Tensor:
    """(B, span) Jensen-Shannon divergence from the prediction `distance` positions later; NaN where there is none."""
    difference = torch.full(log_p.shape[:2], torch.nan, device=log_p.device)
    difference[:, :-distance] = measures.jensen_shannon(log_p[:, :-distance], log_p[:, distance:])
    return difference


def _position_rows(prompt_id: str, columns: dict[str, np.ndarray], texts, classes) -> pd.DataFrame:
    frame = pd.DataFrame(columns).assign(prompt_id=prompt_id, position=np.arange(len(columns["entropy"])))
    frame["answer_token"] = [texts[id_] for id_ in frame["answer_token_id"]]
    frame["top1_class"] = [classes[id_] for id_ in frame["top1_token_id"]]
    frame["top1_class_without_eos"] = [classes[id_] for id_ in frame.pop("top1_token_id_without_eos")]
    return frame


def _token_rows(prompt_id: str, ids: np.ndarray, probabilities: np.ndarray, texts, classes) -> pd.DataFrame:
    span, top_k = ids.shape
    flat = ids.ravel()
    return pd.DataFrame(
        {
            "prompt_id": prompt_id,
            "position": np.repeat(np.arange(span), top_k),
            "rank": np.tile(np.arange(1, top_k + 1), span),
            "token_id": flat,
            "token": [texts[id_] for id_ in flat],
            "probability": probabilities.ravel(),
            "token_class": [classes[id_] for id_ in flat],
        }
    )


def _stack(frames: dict[int, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Frames by prompt index, in the order of the prompts, whatever order they were computed in."""
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat([frames[index] for index in sorted(frames)], ignore_index=True)[columns]
