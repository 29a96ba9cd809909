"""Asking a denoiser about many corrupted sequences: padding, batches that fit the device's memory, errors with names.

A *state* is a corrupted sequence. Only its queried positions pass through the output head.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from discreteness.core.errors import InputError
from discreteness.denoisers.base import Denoiser

Result = TypeVar("Result")
logger = logging.getLogger("discreteness")

# What `query` says of non-finite logits. {prompts}: all of the batch; {prompt}: that of the row, where it is known
ROWS_ARE_PROMPTS = "model: {error}, rows being prompts {prompts}"
ROWS_ARE_ANSWERS = "model: {error}, rows being answers to prompts {prompts}"
PROMPT_OF_ROW = "prompt {prompt}: {error}"


@dataclass(frozen=True)
class State:
    """A corrupted sequence, and the positions whose predictions are wanted."""

    prompt_id: str  # for messages
    token_ids: np.ndarray  # (L,) int64, prompt and answer
    queries: np.ndarray  # (Q,) int64, positions in token_ids


def masked_state(
    prompt_id: str, prompt: Sequence[int], answer: np.ndarray, masked: np.ndarray, queries: np.ndarray, mask_id: int
) -> State:
    """A prompt and its answer (span,), masked where `masked` (span,) is True. queries: positions in the answer."""
    token_ids = np.concatenate([np.array(prompt, dtype=np.int64), np.where(masked, mask_id, answer)])
    return State(prompt_id, token_ids, queries=len(prompt) + queries)


def batches(lengths: Sequence[int], batch_tokens: int, padding: float = 0.2) -> Iterator[list[int]]:
    """Indices of sequences in batches of at most `batch_tokens` tokens each, padding counted (at least one sequence).

    Sequences of similar length go together: at most the share `padding` of any row is padding.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batch: list[int] = []
    for index in order:
        if batch:
            longest = lengths[batch[0]]
            if (len(batch) + 1) * longest > batch_tokens or lengths[index] < (1 - padding) * longest:
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch


def run_batches(
    run: Callable[[list[int]], Result],
    lengths: Sequence[int],
    batch_tokens: int,
    *,
    name: str,
    unit: str,
    padding: float = 0.2,
) -> Iterator[tuple[list[int], Result]]:
    """`run(batch)` for all `batches` of sequences; yields (indices of the batch, result) and shows a progress bar.

    A batch that runs out of the device's memory is run again with half as many sequences, and the tokens of that half
    bound all batches that follow. So `run` holds everything that needs memory: the query and what is computed from the
    log-probabilities. It must have no effect before it has succeeded.
    name, unit: of the progress bar. Raises InputError where a single sequence does not fit.
    """
    waiting = deque(batches(lengths, batch_tokens, padding))
    with tqdm(total=len(lengths), desc=name, unit=unit, mininterval=1) as bar:
        while waiting:
            batch = waiting.popleft()
            fits, result = _attempt(run, batch)
            if fits:
                yield batch, result
                del result  # frees its memory for the next batch
                bar.update(len(batch))
                continue
            if len(batch) == 1:
                raise InputError("the device's memory does not suffice for a single sequence")
            # outside of the handler in `_attempt`, whose traceback would keep the failed attempt's tensors
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            half = len(batch) // 2
            logger.warning("out of memory with %d sequences, going on with %d at a time", len(batch), half)
            batch_tokens = half * max(lengths[index] for index in batch)
            remaining = [*batch, *(index for later in waiting for index in later)]
            smaller = batches([lengths[index] for index in remaining], batch_tokens, padding)
            waiting = deque([remaining[place] for place in places] for places in smaller)


def _attempt(run: Callable[[list[int]], Result], batch: list[int]) -> tuple[bool, Result | None]:
    """Whether a batch fits the device's memory, and its result."""
    try:
        return True, run(batch)
    except torch.OutOfMemoryError:
        return False, None


def pad(sequences: Sequence[np.ndarray], padding_id: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences of different length as token ids (B, L) int64, and (B, L) bool, False at padding (right, or `left`)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    width = int(lengths.max())
    columns = torch.arange(width)
    real = columns >= width - lengths[:, None] if left else columns < lengths[:, None]
    ids = torch.full((len(sequences), width), padding_id)
    ids[real] = torch.from_numpy(np.concatenate(sequences).astype(np.int64, copy=False))
    return ids, real


def query(
    denoiser: Denoiser,
    token_ids: torch.Tensor,
    real: torch.Tensor,
    queries: torch.Tensor,
    prompt_ids: Sequence[str],
    message: str = ROWS_ARE_PROMPTS,
    **inputs: Any,
) -> torch.Tensor:
    """Log-probabilities (Q, V) at the queries (Q, 2) of (row, position); see `Denoiser.log_probs`.

    token_ids, real (B, L): as from `pad`. prompt_ids: names of the rows, or of the first half of them where the second
    half repeats their prompts (guidance). inputs: what else this denoiser takes.
    Raises InputError with `message`, one line, for non-finite logits.
    """
    try:
        return denoiser.log_probs(token_ids, None if real.all() else real, queries, **inputs)
    except FloatingPointError as error:
        prompts = ", ".join(dict.fromkeys(prompt_ids))
        row = getattr(error, "row", None)
        prompt = prompts if row is None else prompt_ids[row % len(prompt_ids)]
        raise InputError(message.format(error=error, prompts=prompts, prompt=prompt)) from None


def log_probs(denoiser: Denoiser, states: Sequence[State], message: str = ROWS_ARE_PROMPTS) -> torch.Tensor:
    """Log-probabilities (Q, V) at the queries of all states, in their order, from one forward pass.

    Raises InputError as `query`.
    """
    ids, real = pad([state.token_ids for state in states], denoiser.eos_ids[0])
    rows = np.repeat(np.arange(len(states)), [len(state.queries) for state in states])
    positions = np.concatenate([state.queries for state in states])
    queries = torch.from_numpy(np.stack([rows, positions], -1))
    return query(denoiser, ids, real, queries, [state.prompt_id for state in states], message)


def forbid(log_p: torch.Tensor, token_ids: Sequence[int]) -> torch.Tensor:
    """The distribution of the tokens that are not in `token_ids`, (Q, V) -> (Q, V); NaN where that is none."""
    if not len(token_ids):
        return log_p
    return log_p.index_fill(-1, torch.tensor(list(token_ids), device=log_p.device), -torch.inf).log_softmax(-1)


def score_tokens(
    denoiser: Denoiser,
    lengths: Sequence[int],
    state_and_tokens: Callable[[int], tuple[State, np.ndarray]],
    batch_tokens: int,
    *,
    name: str,
    padding: float = 0.2,
    forbidden: Sequence[int] = (),
    message: str = ROWS_ARE_PROMPTS,
) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """Log-probability of a token at every query of every state: for each batch, its indices and their (Q,) float32.

    lengths: of the states, in tokens. state_and_tokens: the state of an index, and the tokens (Q,) that are scored at
    its queries; it is called when its batch comes, so that not all states are held in memory. Logarithms in nats.
    forbidden: ids that are no answer; the distribution is that of the other tokens.
    Raises InputError as `query` and `run_batches`, and where only forbidden tokens have any probability.
    """

    def run(batch: list[int]) -> list[np.ndarray]:
        states, tokens = zip(*map(state_and_tokens, batch), strict=True)
        log_p = forbid(log_probs(denoiser, states, message), forbidden)
        if len(forbidden) and log_p.isnan().any():
            names = ", ".join(dict.fromkeys(state.prompt_id for state in states))
            raise InputError(f"model: allows only forbidden tokens somewhere in answers to prompts {names}")
        scored = torch.from_numpy(np.concatenate(tokens)).to(log_p.device)
        logprobs = log_p.gather(-1, scored[:, None])[:, 0].cpu().numpy()
        return np.split(logprobs, np.cumsum([len(state.queries) for state in states])[:-1])

    yield from run_batches(run, lengths, batch_tokens, name=name, unit="state", padding=padding)
