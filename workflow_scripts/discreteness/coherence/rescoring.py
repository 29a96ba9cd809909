"""Score an answer's tokens again, with other tokens of it hidden: regret of a step, disowned tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from discreteness.coherence.answers import answer_length
from discreteness.core.batching import batches
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.denoisers.base import Denoiser

REGRET_COLUMNS = [
    *("prompt_id", "sample", "position", "step", "step_size", "weight"),
    *("logprob_at_reveal", "logprob_given_step", "regret"),
]
DISOWNED_COLUMNS = ["prompt_id", "sample", "position", "weight", "leave_one_out_logprob"]


@dataclass(frozen=True)
class State:
    """What a denoiser is shown, and the answer's tokens to be scored there."""

    prompt_id: str
    prompt: Sequence[int]
    token_ids: np.ndarray  # (span,) the answer
    masked: np.ndarray  # (span,) bool, positions shown as masks
    queries: np.ndarray  # positions in the answer whose tokens are scored


def score(
    denoiser: Denoiser, states: list[State], batch_tokens: int, unit: str, forbidden: Sequence[int] = ()
) -> list[np.ndarray]:
    """Log-probability of each state's queried tokens, nats, float64, in the order of the states.

    forbidden: ids that are no answer; the model's distribution is that of the others.
    Batches of similar length hold at most `batch_tokens` tokens (at least one state). Raises InputError naming the
    prompts of a batch with non-finite logits.
    """
    found: list[np.ndarray] = [np.empty(0)] * len(states)
    lengths = [len(state.prompt) + len(state.token_ids) for state in states]
    with tqdm(total=len(states), desc=unit, unit="state", mininterval=1) as bar:
        for batch in batches(lengths, batch_tokens):
            for index, logprobs in zip(batch, _score(denoiser, [states[i] for i in batch], forbidden), strict=True):
                found[index] = logprobs
            bar.update(len(batch))
    return found


def _score(denoiser: Denoiser, states: list[State], forbidden: Sequence[int]) -> list[np.ndarray]:
    lengths = torch.tensor([len(state.prompt) + len(state.token_ids) for state in states])
    width = int(lengths.max())
    ids = torch.full((len(states), width), denoiser.eos_ids[0])  # (B, L), padded on the right
    queries, targets = [], []
    for row, state in enumerate(states):
        start, end = len(state.prompt), len(state.prompt) + len(state.token_ids)
        answer = torch.from_numpy(state.token_ids)
        ids[row, :start] = torch.tensor(state.prompt, dtype=torch.int64)
        ids[row, start:end] = answer
        if state.masked.any():
            ids[row, start:end][torch.from_numpy(state.masked)] = denoiser.mask_id
        asked = torch.from_numpy(state.queries)
        queries.append(torch.stack([torch.full_like(asked, row), start + asked], -1))
        targets.append(answer[asked])
    real = torch.arange(width) < lengths[:, None]
    try:
        log_p = denoiser.log_probs(ids, None if real.all() else real, torch.cat(queries))  # (Q, V)
    except FloatingPointError as error:
        names = ", ".join(dict.fromkeys(state.prompt_id for state in states))
        raise InputError(f"model: {error}, rows being answers to prompts {names}") from None
    if len(forbidden):
        excluded = torch.tensor(list(forbidden), device=log_p.device)
        log_p = log_p.index_fill(-1, excluded, -torch.inf).log_softmax(-1)
        if log_p.isnan().any():
            names = ", ".join(dict.fromkeys(state.prompt_id for state in states))
            raise InputError(f"model: allows only forbidden tokens somewhere in answers to prompts {names}")
    target = torch.cat(targets).to(log_p.device)
    logprobs = log_p.gather(-1, target[:, None])[:, 0].double().cpu().numpy()
    return np.split(logprobs, np.cumsum([len(state.queries) for state in states])[:-1])


def regret(
    denoiser: Denoiser,
    decodings: pd.DataFrame,
    prompts: Mapping[str, Sequence[int]],
    batch_tokens: int,
    *,
    max_queries: int | None = None,
    seed: int = 0,
    whole_span: bool = False,
    recompute: bool = False,
    forbidden: Sequence[int] = (),
) -> pd.DataFrame:
    """The tokens of every step, scored again given each other: `log p(x_i | c, x_V) − log p(x_i | c, x_V, x_{S∖i})`.

    S is what a step revealed, V what was visible before it; later positions are masked. Positive where the model
    disowns its own combination. A token revealed alone learns of nothing new: its regret is exactly 0.

    decodings: one row per answer (see the package). prompts: token ids of each prompt_id. log p(x_i | c, x_V) is the
    table's `logprob_at_reveal`, taken as given: nats, before any temperature. `recompute` scores it anew instead, one
    more forward pass per step; needed where the decoder showed the model another state than V (a policy that masks
    tokens again or mixes embeddings), since V is then only what the final `revealed_at` says, or another distribution
    (guidance). forbidden: ids that were never drawn; both log-probabilities are those of the other tokens.
    whole_span: score also the tokens from the first end token on; by default only the answer's are. They are part of
    S and V either way, as they were when decoding.

    Cost: one state per token revealed in company. max_queries: score only so many of them per answer, a simple random
    sample without replacement keyed by (seed, prompt, sample, position). `weight` is one over a token's chance of
    being scored: weighted sums are unbiased, and so is a step's mean over those of its tokens that were drawn.

    Returns REGRET_COLUMNS in the order of the answers, a row per scored token. Raises InputError before any forward
    pass for a denoiser without masks and for answers that do not fit their prompts, steps or the model's context.
    """
    given_columns = () if recompute else ("logprob_at_reveal",)
    frames, with_others, before, rows_before = [], [], [], []
    rows = 0
    for answer in _answers(denoiser, decodings, prompts, ("revealed_at", *given_columns), max_queries):
        revealed_at = np.asarray(answer.revealed_at, dtype=np.int64)
        _, inverse, counts = np.unique(revealed_at, return_inverse=True, return_counts=True)
        step_size = counts[inverse]
        scored = np.arange(len(revealed_at) if whole_span else answer.length)
        alone = scored[step_size[scored] == 1]
        drawn, weight = _draw(scored[step_size[scored] > 1], max_queries, seed, "regret", answer)
        position = np.sort(np.concatenate([alone, drawn]))
        frame = pd.DataFrame(
            {
                "prompt_id": answer.prompt_id,
                "sample": answer.sample,
                "position": position,
                "step": revealed_at[position],
                "step_size": step_size[position],
                "weight": np.where(step_size[position] > 1, weight, 1.0),
                "logprob_at_reveal": np.nan
                if recompute
                else np.asarray(answer.logprob_at_reveal, dtype=np.float64)[position],
            }
        )
        with_others += [answer.state((revealed_at > revealed_at[i]) | _only(i, revealed_at), [i]) for i in drawn]
        if recompute:
            for step, together in frame.groupby("step"):
                before.append(answer.state(revealed_at >= step, together["position"]))
                rows_before.append(rows + together.index.to_numpy())
        frames.append(frame)
        rows += len(frame)
    if not rows:
        return pd.DataFrame(columns=REGRET_COLUMNS)
    table = pd.concat(frames, ignore_index=True)
    at_reveal = table["logprob_at_reveal"].to_numpy(dtype=np.float64, copy=True)
    for index, logprobs in zip(rows_before, score(denoiser, before, batch_tokens, "before", forbidden), strict=True):
        at_reveal[index] = logprobs
    given_step = at_reveal.copy()
    shared = table["step_size"].to_numpy() > 1
    if with_others:
        given_step[shared] = np.concatenate(score(denoiser, with_others, batch_tokens, "regret", forbidden))
    difference = np.where(shared, at_reveal - given_step, 0.0)
    return table.assign(logprob_at_reveal=at_reveal, logprob_given_step=given_step, regret=difference)[REGRET_COLUMNS]


def disowned(
    denoiser: Denoiser,
    decodings: pd.DataFrame,
    prompts: Mapping[str, Sequence[int]],
    batch_tokens: int,
    *,
    max_queries: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Leave-one-out log-probability `log p(x_i | c, x_{−i})` of the finished answers' tokens, nats.

    Every other position is shown as it was decoded, the tokens behind the first end token too, but only the tokens
    before it are scored. A small model disowns much of what people wrote, too: the same call on the reference answers,
    padded to the span with end tokens, says how much. One state per token; `max_queries`, `weight`
    and errors as for `regret`.
    Returns DISOWNED_COLUMNS in the order of the answers; an empty answer has no rows.
    """
    frames, states = [], []
    for answer in _answers(denoiser, decodings, prompts, (), max_queries):
        drawn, weight = _draw(np.arange(answer.length), max_queries, seed, "disowned", answer)
        where = {"prompt_id": answer.prompt_id, "sample": answer.sample, "position": drawn, "weight": weight}
        frames.append(pd.DataFrame(where))
        states += [answer.state(_only(i, answer.token_ids), [i]) for i in drawn]
    if not states:
        return pd.DataFrame(columns=DISOWNED_COLUMNS)
    logprobs = np.concatenate(score(denoiser, states, batch_tokens, "disowned"))
    return pd.concat(frames, ignore_index=True).assign(leave_one_out_logprob=logprobs)[DISOWNED_COLUMNS]


RESCORED_COLUMNS = [
    *("prompt_id", "sample", "steps", "temperature", "position", "step", "step_size"),
    *("regret_weight", "regret", "leave_one_out_weight", "leave_one_out_logprob"),
]


def rescore(
    denoiser: Denoiser,
    answers: pd.DataFrame,
    prompts: Mapping[str, Sequence[int]],
    batch_tokens: int,
    rescored: int,
    seed: int,
    recompute: bool,
    forbidden: Sequence[int] = (),
) -> pd.DataFrame:
    """`regret` and `disowned` of a table of decodings at several numbers of steps and temperatures.

    rescored: most tokens of an answer that each of the two scores. recompute, forbidden: see `regret`; what is
    disowned is by the model's own distribution. Answers that still hold a mask are left out.
    Returns RESCORED_COLUMNS, a row for each token that at least one of the two scored.
    """
    whole = answers[np.array([denoiser.mask_id not in ids for ids in answers["token_ids"]], dtype=bool)]
    frames = []
    for (steps, temperature), part in whole.groupby(["steps", "temperature"], dropna=False, sort=False):
        place = ["prompt_id", "sample", "position"]
        sampling = {"max_queries": rescored, "seed": seed}
        again = regret(denoiser, part, prompts, batch_tokens, recompute=recompute, forbidden=forbidden, **sampling)
        alone = disowned(denoiser, part, prompts, batch_tokens, **sampling)
        again = again.rename(columns={"weight": "regret_weight"})
        alone = alone.rename(columns={"weight": "leave_one_out_weight"})
        both = again.merge(alone, on=place, how="outer").astype({"position": int})
        steps_of = part.set_index(["prompt_id", "sample"])["revealed_at"]
        revealed = [steps_of[key_] for key_ in zip(both["prompt_id"], both["sample"], strict=True)]
        both["step"] = [int(of[i]) for of, i in zip(revealed, both["position"], strict=True)]
        both["step_size"] = [int((np.asarray(of) == s).sum()) for of, s in zip(revealed, both["step"], strict=True)]
        frames.append(both.assign(steps=steps, temperature=temperature)[RESCORED_COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=RESCORED_COLUMNS)


@dataclass(frozen=True)
class _Answer:
    prompt_id: str
    sample: int
    prompt: Sequence[int]
    token_ids: np.ndarray  # (span,) int64
    length: int  # tokens before the first end token
    revealed_at: Sequence[int] | None
    logprob_at_reveal: Sequence[float] | None

    def state(self, masked: np.ndarray, queries: Sequence[int]) -> State:
        return State(self.prompt_id, self.prompt, self.token_ids, masked, np.array(queries, dtype=np.int64))


def _only(position: int, like: np.ndarray) -> np.ndarray:
    """(span,) bool, True at one position."""
    return np.arange(len(like)) == position


def _draw(
    positions: np.ndarray, max_queries: int | None, seed: int, purpose: str, answer: _Answer
) -> tuple[np.ndarray, float]:
    """At most `max_queries` of the positions, ascending, and one over each one's chance of being drawn."""
    if max_queries is None or len(positions) <= max_queries:
        return positions, 1.0
    order = sorted(positions.tolist(), key=lambda i: key(seed, purpose, answer.prompt_id, answer.sample, i))
    return np.sort(np.array(order[:max_queries])), len(positions) / max_queries


def _answers(denoiser, decodings, prompts, per_token: tuple[str, ...], max_queries: int | None) -> Iterator[_Answer]:
    """The table's answers, all of them checked first."""
    if denoiser.corruption != "mask":
        raise InputError(f"model: its corruption is {denoiser.corruption!r}; tokens are scored again by hiding them")
    if max_queries is not None and max_queries < 1:
        raise InputError(f"config: max_queries = {max_queries} (expected at least 1, or none for every token)")
    for column in ("prompt_id", "sample", "token_ids", *per_token):
        if column not in decodings:
            raise InputError(f"decodings: column {column!r} is missing")
    known = set()
    for row in decodings.itertuples(index=False):
        name = f"decodings: prompt {row.prompt_id}, sample {row.sample}"
        if (row.prompt_id, row.sample) in known:
            raise InputError(f"{name} comes more than once")
        known.add((row.prompt_id, row.sample))
        span = len(row.token_ids)
        if row.prompt_id not in prompts:
            raise InputError(f"{name}: the prompt is not among the {len(prompts)} prompts given")
        for column in per_token:
            if len(getattr(row, column)) != span:
                raise InputError(f"{name}: {column} has {len(getattr(row, column))} values for {span} tokens")
        if denoiser.mask_id in row.token_ids:
            raise InputError(f"{name}: token_ids still holds the mask token {denoiser.mask_id}")
        if "revealed_at" in per_token and min(row.revealed_at, default=0) < 0:
            raise InputError(f"{name}: revealed_at = {min(row.revealed_at)} (expected a step, from 0)")
        if len(prompts[row.prompt_id]) + span > denoiser.context_length:
            raise InputError(
                f"{name}: {len(prompts[row.prompt_id])} tokens and an answer of {span} exceed the model's context of "
                f"{denoiser.context_length} tokens"
            )
    return (
        _Answer(
            prompt_id=row.prompt_id,
            sample=row.sample,
            prompt=prompts[row.prompt_id],
            token_ids=np.array(row.token_ids, dtype=np.int64),
            length=answer_length(row.token_ids, denoiser.eos_ids),
            revealed_at=getattr(row, "revealed_at", None),
            logprob_at_reveal=getattr(row, "logprob_at_reveal", None),
        )
        for row in decodings.itertuples(index=False)
    )
