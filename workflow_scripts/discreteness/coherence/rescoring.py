"""Score an answer's tokens again, with other tokens of it masked: regret of a step, disowned tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from discreteness.coherence.answers import answer_length
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.core.scoring import ROWS_ARE_ANSWERS, State, masked_state, score_tokens
from discreteness.denoisers.base import Denoiser, check_context

REGRET_COLUMNS = [
    *("prompt_id", "sample", "position", "step", "step_size", "weight"),
    *("logprob_at_reveal", "logprob_given_step", "regret"),
]
DISOWNED_COLUMNS = ["prompt_id", "sample", "position", "weight", "leave_one_out_logprob"]
RESCORED_COLUMNS = [
    *("prompt_id", "sample", "steps", "temperature", "position", "step", "step_size"),
    *("regret_weight", "regret", "leave_one_out_weight", "leave_one_out_logprob"),
]


@dataclass(frozen=True)
class Answer:
    """A decoded answer."""

    prompt_id: str
    sample: int
    prompt: Sequence[int]
    token_ids: np.ndarray  # (span,) int64
    length: int  # tokens before the first EOS
    revealed_at: np.ndarray | None  # (span,) int64, the step of each token
    logprob_at_reveal: np.ndarray | None  # (span,) float64, nats


@dataclass(frozen=True)
class MaskedAnswer:
    """A decoded answer with some of its tokens masked, and the positions in it that are scored."""

    answer: Answer
    masked: np.ndarray  # (span,) bool
    scored: np.ndarray  # (Q,) int64


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

    S is what a step revealed, V what was visible before it; later positions are masked. The regret is positive where
    the model finds its own combination improbable. For a token revealed alone nothing new is visible: exactly 0.

    decodings: one row per answer (see the package). prompts: token ids of each prompt_id. log p(x_i | c, x_V) is the
    table's `logprob_at_reveal`: nats, before any temperature. `recompute` computes it anew instead, with one more
    forward pass per step. That is needed where the decoder queried another state than V (a policy that masks tokens
    again or mixes embeddings; V is then only what the final `revealed_at` says) or drew from another distribution
    (guidance). forbidden: ids that were never drawn; both log-probabilities are those of the other tokens.
    whole_span: score also the tokens from the first EOS on; by default only those before it. They are part of S and V
    either way, as they were when decoding.

    Cost: one state per token that was revealed together with others. max_queries: score only so many of them per
    answer, a simple random sample without replacement keyed by (seed, prompt, sample, position). `weight` is one over
    a token's chance of being scored: weighted sums are unbiased, and so is a step's mean over its drawn tokens.

    Returns REGRET_COLUMNS in the order of the answers, one row per scored token. Raises InputError before any forward
    pass for a denoiser without masks and for answers that do not fit their prompts, steps or the model's context; and
    as `scoring.score_tokens`.
    """
    per_token = ("revealed_at",) if recompute else ("revealed_at", "logprob_at_reveal")
    answers = _answers(denoiser, decodings, prompts, per_token, max_queries)
    drawn = [_drawn_tokens(answer, max_queries, seed, whole_span).assign(answer=i) for i, answer in enumerate(answers)]
    if not sum(map(len, drawn)):
        return pd.DataFrame(columns=REGRET_COLUMNS)
    table = pd.concat(drawn, ignore_index=True)
    scoring = {"batch_tokens": batch_tokens, "forbidden": forbidden}
    at_reveal = table["logprob_at_reveal"].to_numpy(dtype=np.float64, copy=True)
    if recompute:
        masked_answers, rows = _masked_before_step(answers, table)
        at_reveal[rows] = np.concatenate(score(denoiser, masked_answers, name="before", **scoring))
    given_step = at_reveal.copy()
    shared = table["step_size"].to_numpy() > 1
    if shared.any():
        masked_answers = _masked_given_step(answers, table[shared])
        given_step[shared] = np.concatenate(score(denoiser, masked_answers, name="regret", **scoring))
    difference = np.where(shared, at_reveal - given_step, 0.0)
    return table.assign(logprob_at_reveal=at_reveal, logprob_given_step=given_step, regret=difference)[REGRET_COLUMNS]


def _drawn_tokens(answer: Answer, max_queries: int | None, seed: int, whole_span: bool) -> pd.DataFrame:
    """The tokens of an answer whose regret is wanted, by position: all revealed alone, and a sample of the others."""
    _, inverse, counts = np.unique(answer.revealed_at, return_inverse=True, return_counts=True)
    step_size = counts[inverse]
    wanted = np.arange(len(answer.token_ids) if whole_span else answer.length)
    alone = wanted[step_size[wanted] == 1]
    drawn, weight = _draw(wanted[step_size[wanted] > 1], max_queries, seed, "regret", answer)
    position = np.sort(np.concatenate([alone, drawn]))
    logprob = np.nan if answer.logprob_at_reveal is None else answer.logprob_at_reveal[position]
    return pd.DataFrame(
        {
            "prompt_id": answer.prompt_id,
            "sample": answer.sample,
            "position": position,
            "step": answer.revealed_at[position],
            "step_size": step_size[position],
            "weight": np.where(step_size[position] > 1, weight, 1.0),
            "logprob_at_reveal": logprob,
        }
    )


def _masked_before_step(answers: list[Answer], table: pd.DataFrame) -> tuple[list[MaskedAnswer], np.ndarray]:
    """Each answer as it was before each of its steps, for the step's tokens; and the rows of the table they are in."""
    positions = table.groupby(["answer", "step"])["position"]
    masked_answers = [
        MaskedAnswer(answers[i], answers[i].revealed_at >= step, scored=group.to_numpy())
        for (i, step), group in positions
    ]
    return masked_answers, np.concatenate([group.index for _, group in positions])


def _masked_given_step(answers: list[Answer], table: pd.DataFrame) -> list[MaskedAnswer]:
    """For each row, the answer as it was after the token's step, but for the token itself."""
    masked_answers = []
    for i, position in zip(table["answer"], table["position"], strict=True):
        later = answers[i].revealed_at > answers[i].revealed_at[position]
        masked_answers.append(MaskedAnswer(answers[i], later | _only(position, later), scored=np.array([position])))
    return masked_answers


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

    Every other position is shown as it was decoded, also those after the first EOS; scored are only the tokens before
    it. A small model finds many tokens of human answers improbable, too: the same call on the reference answers, padded
    to the span with EOS, says how many. One state per token; `max_queries`, `weight` and errors as for `regret`.
    Returns DISOWNED_COLUMNS in the order of the answers; an empty answer has no rows.
    """
    frames, masked_answers = [], []
    for answer in _answers(denoiser, decodings, prompts, (), max_queries):
        drawn, weight = _draw(np.arange(answer.length), max_queries, seed, "disowned", answer)
        columns = {"prompt_id": answer.prompt_id, "sample": answer.sample, "position": drawn, "weight": weight}
        frames.append(pd.DataFrame(columns))
        masked_answers += [MaskedAnswer(answer, _only(i, answer.token_ids), scored=np.array([i])) for i in drawn]
    if not masked_answers:
        return pd.DataFrame(columns=DISOWNED_COLUMNS)
    logprobs = np.concatenate(score(denoiser, masked_answers, batch_tokens=batch_tokens, name="disowned"))
    return pd.concat(frames, ignore_index=True).assign(leave_one_out_logprob=logprobs)[DISOWNED_COLUMNS]


def score(
    denoiser: Denoiser,
    masked_answers: list[MaskedAnswer],
    *,
    batch_tokens: int,
    name: str,
    forbidden: Sequence[int] = (),
) -> list[np.ndarray]:
    """Log-probability of the scored tokens of each masked answer, nats, float64; see `scoring.score_tokens`."""

    def state_and_tokens(i: int) -> tuple[State, np.ndarray]:
        answer, scored = masked_answers[i].answer, masked_answers[i].scored
        state = masked_state(
            prompt_id=answer.prompt_id,
            prompt=answer.prompt,
            answer=answer.token_ids,
            masked=masked_answers[i].masked,
            queries=scored,
            mask_id=denoiser.mask_id,
        )
        return state, answer.token_ids[scored]

    lengths = [len(masked.answer.prompt) + len(masked.answer.token_ids) for masked in masked_answers]
    result: list[np.ndarray] = [np.empty(0)] * len(masked_answers)
    scores = score_tokens(
        denoiser,
        lengths,
        state_and_tokens,
        batch_tokens,
        name=name,
        forbidden=forbidden,
        message=ROWS_ARE_ANSWERS,
    )
    for batch, logprobs in scores:
        for i, values in zip(batch, logprobs, strict=True):
            result[i] = values.astype(np.float64)
    return result


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

    rescored: most tokens of an answer that each of the two scores. recompute, forbidden: see `regret`; `disowned` uses
    the model's own distribution. Answers that still hold a mask are left out.
    Returns RESCORED_COLUMNS, one row for each token that at least one of the two scored.
    """
    finished = answers[np.array([denoiser.mask_id not in ids for ids in answers["token_ids"]], dtype=bool)]
    frames = []
    for (steps, temperature), group in finished.groupby(["steps", "temperature"], dropna=False, sort=False):
        of_steps = regret(
            denoiser,
            group,
            prompts,
            batch_tokens,
            max_queries=rescored,
            seed=seed,
            recompute=recompute,
            forbidden=forbidden,
        )
        of_answers = disowned(denoiser, group, prompts, batch_tokens, max_queries=rescored, seed=seed)
        both = _merged(of_steps, of_answers, group)
        frames.append(both.assign(steps=steps, temperature=temperature)[RESCORED_COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=RESCORED_COLUMNS)


def _merged(of_steps: pd.DataFrame, of_answers: pd.DataFrame, decodings: pd.DataFrame) -> pd.DataFrame:
    """The tables of `regret` and `disowned`, one row for each token of either; step and step size of all of them."""
    table = of_steps.rename(columns={"weight": "regret_weight"}).merge(
        of_answers.rename(columns={"weight": "leave_one_out_weight"}),
        on=["prompt_id", "sample", "position"],
        how="outer",
    )
    table = table.astype({"position": int})
    revealed_at = decodings.set_index(["prompt_id", "sample"])["revealed_at"].map(np.asarray)
    of_tokens = [revealed_at[name] for name in zip(table["prompt_id"], table["sample"], strict=True)]
    table["step"] = [int(steps[i]) for steps, i in zip(of_tokens, table["position"], strict=True)]
    table["step_size"] = [int((steps == step).sum()) for steps, step in zip(of_tokens, table["step"], strict=True)]
    return table


def _only(position: int, like: np.ndarray) -> np.ndarray:
    """(span,) bool, True at one position."""
    return np.arange(len(like)) == position


def _draw(
    positions: np.ndarray, max_queries: int | None, seed: int, purpose: str, answer: Answer
) -> tuple[np.ndarray, float]:
    """At most `max_queries` of the positions, ascending, and one over each one's chance of being drawn."""
    if max_queries is None or len(positions) <= max_queries:
        return positions, 1.0
    order = sorted(positions.tolist(), key=lambda i: key(seed, purpose, answer.prompt_id, answer.sample, i))
    return np.sort(np.array(order[:max_queries])), len(positions) / max_queries


def _answers(
    denoiser: Denoiser,
    decodings: pd.DataFrame,
    prompts: Mapping[str, Sequence[int]],
    per_token: tuple[str, ...],
    max_queries: int | None,
) -> list[Answer]:
    """The answers of a table of decodings, checked.

    per_token: columns that are needed besides the token ids, each with one value per token.
    """
    if denoiser.corruption != "mask":
        raise InputError(f"model: its corruption is {denoiser.corruption!r}; tokens are scored again by hiding them")
    if max_queries is not None and max_queries < 1:
        raise InputError(f"config: max_queries = {max_queries} (expected at least 1, or none for every token)")
    for column in ("prompt_id", "sample", "token_ids", *per_token):
        if column not in decodings:
            raise InputError(f"decodings: column {column!r} is missing")
    names = set()
    for row in decodings.itertuples(index=False):
        if (row.prompt_id, row.sample) in names:
            raise InputError(f"decodings: prompt {row.prompt_id}, sample {row.sample} comes more than once")
        names.add((row.prompt_id, row.sample))
        _check_answer(denoiser, row, prompts, per_token)
    return [
        Answer(
            prompt_id=row.prompt_id,
            sample=row.sample,
            prompt=prompts[row.prompt_id],
            token_ids=np.array(row.token_ids, dtype=np.int64),
            length=answer_length(row.token_ids, denoiser.eos_ids),
            revealed_at=np.asarray(row.revealed_at, dtype=np.int64) if "revealed_at" in per_token else None,
            logprob_at_reveal=np.asarray(row.logprob_at_reveal, dtype=np.float64)
            if "logprob_at_reveal" in per_token
            else None,
        )
        for row in decodings.itertuples(index=False)
    ]


def _check_answer(denoiser: Denoiser, row, prompts: Mapping[str, Sequence[int]], per_token: tuple[str, ...]) -> None:
    """Raise InputError for a row of decodings that does not fit its prompt, its steps or the model."""
    name = f"decodings: prompt {row.prompt_id}, sample {row.sample}"
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
    check_context(denoiser, name, prompts[row.prompt_id], span)
