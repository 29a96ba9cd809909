"""The one decoding loop."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from tqdm import tqdm

from discreteness.core.batching import batches
from discreteness.core.errors import InputError
from discreteness.decoding.noise import CHUNK, Dream, Keyed, LLaDA
from discreteness.decoding.policies import NEVER, POLICIES, View
from discreteness.decoding.rows import check_denoiser, check_policy, forbidden_ids
from discreteness.decoding.schedules import quota
from discreteness.denoisers.base import Denoiser

logger = logging.getLogger(__name__)


@dataclass
class Decoded:
    """Answers of P prompts, on the CPU.

    token_ids (P, samples, span) int64: the mask's id where a mask is left (the published samplers leave some when
    masks inside the prompt use up a step, or when the mask itself is drawn).
    revealed_at, same shape, int64: step at which the token took its place, counted over all blocks; −1 for a mask.
    logprob_at_reveal, same shape, float32: ln p(token) under the model then (guidance and forbidden tokens included;
    temperature and truncation not); NaN for a mask.
    forward_passes (P, samples) int64: batches that the answer took part in (with guidance, of twice the size).
    """

    token_ids: torch.Tensor
    revealed_at: torch.Tensor
    logprob_at_reveal: torch.Tensor
    forward_passes: torch.Tensor


@dataclass
class State:
    """The answers being decoded; first dimension B everywhere. W: width of the batch."""

    job: torch.Tensor  # (B,) index of prompt and sample, on the CPU
    ids: torch.Tensor  # (B, W) int64
    real: torch.Tensor  # (B, W) bool, no padding
    fixed: torch.Tensor  # (B, W) bool, prompt tokens that guidance hides
    masked: torch.Tensor  # (B, W) bool
    first: torch.Tensor  # (B,) column of the answer's first token
    block: torch.Tensor  # (B,)
    step: torch.Tensor  # (B,) steps done in the block
    done: torch.Tensor  # (B,) steps done
    forwards: torch.Tensor  # (B,)
    revealed_at: torch.Tensor  # (B, W)
    logprob: torch.Tensor  # (B, W)
    soft_ids: torch.Tensor  # (B, W, k) most probable tokens at a mask; k = 0 without soft masks
    soft_weights: torch.Tensor  # (B, W, k) their probabilities, adding up to 1; 0 before the first prediction

    def take(self, rows: torch.Tensor) -> "State":
        """Some of the rows (B,) bool."""
        return State(*(getattr(self, f.name)[rows.to(getattr(self, f.name).device)] for f in fields(self)))


def decode(
    denoiser: Denoiser,
    prompts: Sequence[Sequence[int]],
    policy: Mapping,
    span: int = 128,
    samples: int = 1,
    seed: int = 0,
    noise: str = "keyed",
    prompt_ids: Sequence[str] | None = None,
    batch_tokens: int = 16384,
    name: str = "policy",
) -> Decoded:
    """Fill `span` masks behind every prompt, `samples` times, as a policy says.

    prompts: token ids; masks among them are filled too (and compete for the steps' numbers, as in the published
    samplers). policy: like a row of config/decoders.yaml; name: what messages call it.
    noise: `keyed` (random numbers depend on seed, prompt_id, sample, step and position: results do not depend on what
    else is decoded, nor on batch_tokens) or `reference` (one left-padded batch; the draws of LLaDA's `generate`, for
    the schedules `timesteps` and `none` of Dream's `diffusion_generate`, after `torch.manual_seed(seed)`).
    prompt_ids: names of the prompts in keys and messages; their indices where missing.
    batch_tokens: largest batch, tokens with padding; halved when a GPU runs out of memory.
    Raises InputError with one line for a row that does not fit span or model, a prompt that does not fit the model, and
    non-finite logits.
    """
    row = check_policy(name, policy, span)
    check_denoiser(name, row, denoiser)
    if noise not in ("keyed", "reference"):
        raise InputError(f"noise: {noise!r} is unknown (expected 'keyed' or 'reference')")
    if noise == "reference" and POLICIES[row["order"]].revises:
        raise InputError(f"decoders: {name}.order: {row['order']!r} has no reference sampler to draw like")
    prompt_ids = [str(index) for index in range(len(prompts))] if prompt_ids is None else list(map(str, prompt_ids))
    if len(prompt_ids) != len(prompts):
        raise InputError(f"prompt_ids: {len(prompt_ids)} names for {len(prompts)} prompts")
    for prompt_id, prompt in zip(prompt_ids, prompts, strict=True):
        if len(prompt) + span > denoiser.context_length:
            raise InputError(
                f"prompt {prompt_id}: {len(prompt)} tokens and a span of {span} exceed the model's context of "
                f"{denoiser.context_length} tokens"
            )
        if len(prompt) and not 0 <= min(prompt) <= max(prompt) < denoiser.vocab_size:
            raise InputError(f"prompt {prompt_id}: holds token ids outside the model's {denoiser.vocab_size} tokens")
    jobs = [(prompt_id, sample) for prompt_id in prompt_ids for sample in range(samples)]
    run = _Run(denoiser, row, span, [list(prompt) for prompt in prompts for _ in range(samples)], jobs)
    if noise == "reference":
        run.reference(seed)
    else:
        run.keyed(seed, batch_tokens)
    return run.result((len(prompts), samples))


def sampling_log_probs(log_p: torch.Tensor, row: Mapping) -> torch.Tensor:
    """The distribution that tokens are drawn from, (Q, V) log-probabilities: temperature, then top_p, then top_k.

    The order of Dream's `sample_tokens`. Temperature 0 leaves the distribution alone; its largest entry is taken.
    """
    temperature, top_p, top_k = row["temperature"], row["top_p"], row["top_k"]
    cut = top_k is not None or (top_p is not None and top_p < 1)
    if temperature in (0, 1) and not cut:
        return log_p
    parts = []
    for part in log_p.split(max(1, CHUNK // log_p.shape[-1])):
        part = part / temperature if temperature > 0 else part
        if top_p is not None and top_p < 1:
            ordered, index = part.sort(-1, descending=True)
            beyond = ordered.softmax(-1).cumsum(-1) > top_p
            beyond = torch.nn.functional.pad(beyond[:, :-1], (1, 0))  # the first token above the bound stays
            part = part.masked_fill(torch.zeros_like(beyond).scatter(-1, index, beyond), NEVER)
        if top_k is not None:
            least = part.topk(min(top_k, part.shape[-1])).values[:, -1:]
            part = part.masked_fill(part < least, NEVER)
        parts.append(part.log_softmax(-1))
    return torch.cat(parts) if parts else log_p


def select(scores: torch.Tensor, counts: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """(B, W) bool: the `counts` (B,) highest scores of every row among its candidates; the leftmost of equals."""
    order = scores.masked_fill(~candidates, NEVER).argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    ranks = torch.empty_like(order).scatter(-1, order, places)
    return candidates & (ranks < counts[:, None])


class _Run:
    """One call of `decode`: the model, the checked row, the jobs, and the results as they come."""

    def __init__(self, denoiser: Denoiser, row: dict, span: int, prompts: list[list[int]], jobs: list[tuple[str, int]]):
        self.denoiser, self.row, self.span, self.prompts, self.jobs = denoiser, row, span, prompts, jobs
        self.policy = POLICIES[row["order"]]
        self.device = torch.device(denoiser.device)
        self.forbidden = forbidden_ids(row, denoiser)
        shape = (len(jobs), span)
        self.tokens = torch.zeros(shape, dtype=torch.long)
        self.revealed_at = torch.zeros(shape, dtype=torch.long)
        self.logprob = torch.zeros(shape)
        self.forwards = torch.zeros(len(jobs), dtype=torch.long)

    def result(self, shape: tuple[int, int]) -> Decoded:
        """The results, by prompt and sample."""
        full = (*shape, self.span)
        return Decoded(
            self.tokens.view(full), self.revealed_at.view(full), self.logprob.view(full), self.forwards.view(shape)
        )

    def reference(self, seed: int) -> None:
        """All rows in one batch."""
        self.every_row = True
        if self.row["schedule"] in ("timesteps", "none"):
            self.noise = Dream(seed, self.device)
        else:
            self.noise = LLaDA(seed, self.denoiser.vocab_size, self.row["temperature"], self.device)
        if self.jobs:
            self._batch(list(range(len(self.jobs))), left=True, bar=tqdm(disable=True))

    def keyed(self, seed: int, batch_tokens: int) -> None:
        """Batches of rows of similar length."""
        self.every_row = False
        self.noise = Keyed(seed, self.jobs, self.device)
        limit = batch_tokens // 2 if self.row["cfg_scale"] else batch_tokens
        waiting = list(batches([len(prompt) + self.span for prompt in self.prompts], limit))[::-1]
        with tqdm(total=len(self.jobs), desc="answers", unit="answer", mininterval=1) as bar:
            while waiting:
                batch = waiting.pop()
                try:
                    self._batch(batch, left=False, bar=bar)
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    logger.warning("out of memory with %d rows: going on with half as many", len(batch))
                    half = len(batch) // 2
                    waiting += [batch[half:], batch[:half]]
                    bar.n -= sum(self.forwards[job] > 0 for job in batch).item()

    @torch.inference_mode()
    def _batch(self, batch: list[int], left: bool, bar: tqdm) -> None:
        self.forwards[batch] = 0
        state = self._start(batch, left)
        while len(state.job):
            self._step(state)
            finished = state.block >= self.row["blocks"]
            if finished.any():
                self._store(state.take(finished))
                bar.update(int(finished.sum()))
                state = state.take(~finished)

    def _start(self, batch: list[int], left: bool) -> State:
        """The prompts of a batch, padded, each with its masks."""
        lengths = [len(self.prompts[job]) for job in batch]
        width, size, mask = max(lengths) + self.span, len(batch), self.denoiser.mask_id
        padding = self.denoiser.eos_ids[0]
        ids = torch.full((size, width), padding)
        masked, real = torch.zeros(size, width, dtype=torch.bool), torch.zeros(size, width, dtype=torch.bool)
        first = torch.tensor([width - self.span if left else length for length in lengths])
        for place, (job, length, end) in enumerate(zip(batch, lengths, first.tolist(), strict=True)):
            real[place, end - length : end + self.span] = True
            ids[place, end - length : end] = torch.tensor(self.prompts[job], dtype=torch.long)
            masked[place, end : end + self.span] = True
            if mask is not None:
                ids[place, end : end + self.span] = mask
                masked[place, end - length : end] = ids[place, end - length : end] == mask
        columns = torch.arange(width)
        k = self.row["soft_mask_top_k"] if self.row["soft_mask"] else 0
        zeros = torch.zeros(size, dtype=torch.long)
        state = State(
            job=torch.tensor(batch),
            ids=ids,
            real=real,
            fixed=(columns < first[:, None]) & ~masked,
            masked=masked,
            first=first,
            block=zeros,
            step=zeros.clone(),
            done=zeros.clone(),
            forwards=zeros.clone(),
            revealed_at=torch.full((size, width), -1),
            logprob=torch.full((size, width), torch.nan),
            soft_ids=torch.zeros(size, width, k, dtype=torch.long),
            soft_weights=torch.zeros(size, width, k),
        )
        for f in fields(state):
            if f.name != "job":
                setattr(state, f.name, getattr(state, f.name).to(self.device))
        return state

    def _store(self, state: State) -> None:
        """Keep the answers of finished rows."""
        columns = state.first[:, None] + torch.arange(self.span, device=self.device)
        self.tokens[state.job] = state.ids.gather(-1, columns).cpu()
        self.revealed_at[state.job] = state.revealed_at.gather(-1, columns).cpu()
        self.logprob[state.job] = state.logprob.gather(-1, columns).cpu()
        self.forwards[state.job] = state.forwards.cpu()

    def _step(self, state: State) -> None:
        """Choose, predict, draw and reveal, once for every row; the order of the first three is the policy's."""
        row, policy = self.row, self.policy
        positions = torch.arange(state.ids.shape[1], device=self.device) - state.first[:, None]
        end = (state.block[:, None] + 1) * row["block_length"]
        candidates = state.masked & (positions < end)
        in_block = state.real & (positions >= end - row["block_length"]) & (positions < end)
        view = View(
            row=row,
            candidates=candidates,
            positions=positions,
            revealed=in_block & ~state.masked,
            step=state.step,
            logprob_at_reveal=state.logprob,
            draw=self.noise.positions,
        )
        self.noise.begin(state.job.tolist(), state.done.tolist(), candidates)
        if policy.blind:
            chosen, again = self._choose(view)
        needed = chosen if policy.blind else candidates
        queries, log_p = self._predict(state, state.masked if row["soft_mask"] else needed)
        if row["soft_mask"]:
            self._remember(state, queries, log_p)
            wanted = needed[queries[:, 0], queries[:, 1]]
            queries, log_p = queries[wanted], log_p[wanted]
        log_q = sampling_log_probs(log_p, row)
        greedy = row["temperature"] == 0
        tokens = log_q.argmax(-1) if greedy else self.noise.tokens(log_q, queries, row["temperature"])
        if not policy.blind:
            view.queries, view.log_p, view.log_q, view.tokens = queries, log_p, log_q, tokens
            chosen, again = self._choose(view)
        self._reveal(state, queries, tokens, log_p, chosen)
        if again is not None:
            state.ids[again], state.masked[again] = self.denoiser.mask_id, True
            state.revealed_at[again], state.logprob[again] = -1, torch.nan
            state.soft_weights[again] = 0
        self._advance(state, positions < end)

    def _choose(self, view: View) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What becomes a token now, and what a mask again: (B, W) bool each, the second None where nothing may."""
        answer = self.policy.choose(view)
        scores, counts, again = (*answer, None, None)[:3] if isinstance(answer, tuple) else (answer, None, None)
        least = quota(self.row, view.step, view.candidates.sum(-1))
        counts = least if counts is None else torch.maximum(counts, least)
        if self.row["alg_temp"]:
            scores = scores.masked_fill(~view.candidates, NEVER) / self.row["alg_temp"]
            scores = self.noise.perturb(scores, counts)
        return select(scores, counts, view.candidates), again

    def _predict(self, state: State, needed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (Q, V) at the needed places (B, W) bool, and the places (Q, 2).

        Rows without any do not pass through the model (but for the reference's draws, which count them).
        """
        present = torch.ones_like(needed[:, 0]) if self.every_row else needed.any(-1)
        queries, denoiser = needed.nonzero(), self.denoiser
        if not present.any():
            return queries, torch.zeros(0, denoiser.vocab_size, device=self.device)
        state.forwards += present
        ids, real, where = state.ids[present], state.real[present], needed[present].nonzero()
        extra = {}
        if denoiser.corruption == "causal":  # what follows the last query cannot matter
            width = int(where[:, 1].max()) + 1
            ids, real = ids[:, :width], real[:, :width]
        if self.row["soft_mask"]:
            extra["mixture"] = self._mixture(state, present)
        if self.row["cfg_scale"]:
            hidden = ids.masked_fill(state.fixed[present], denoiser.mask_id)
            ids, real = torch.cat([ids, hidden]), torch.cat([real, real])
            where = torch.cat([where, where + torch.tensor([len(hidden), 0], device=self.device)])
        try:
            log_p = denoiser.log_probs(ids, None if real.all() else real, where, **extra).to(self.device)
        except FloatingPointError as error:
            rows = state.job[present.cpu()].tolist()
            bad = getattr(error, "row", None)
            names = {self.jobs[job][0] for job in (rows if bad is None else [rows[bad % len(rows)]])}
            raise InputError(f"prompt {', '.join(sorted(names))}: {error}") from None
        if self.row["cfg_scale"]:
            with_prompt, without = log_p.chunk(2)
            guided = without + (self.row["cfg_scale"] + 1) * (with_prompt - without)
            log_p = guided.masked_fill(with_prompt == NEVER, NEVER).log_softmax(-1)  # an oracle rules tokens out
        if self.forbidden:
            log_p = log_p.index_fill(-1, torch.tensor(self.forbidden, device=self.device), NEVER).log_softmax(-1)
        return queries, log_p

    def _mixture(self, state: State, present: torch.Tensor):
        """What masks are fed as: places (N, 2), token ids (N, 1 + k) with the mask first, weights (N, 1 + k)."""
        share = self.row["soft_mask"]
        known = state.masked & (state.soft_weights.sum(-1) > 0)
        ids, weights = (soft[present][known[present]] for soft in (state.soft_ids, state.soft_weights))
        mask = torch.full_like(ids[:, :1], self.denoiser.mask_id)
        rest = torch.full_like(weights[:, :1], 1 - share)
        return known[present].nonzero(), torch.cat([mask, ids], -1), torch.cat([rest, share * weights], -1)

    def _remember(self, state: State, queries: torch.Tensor, log_p: torch.Tensor) -> None:
        """Keep the most probable tokens of every mask for the next step's input."""
        top = log_p.topk(self.row["soft_mask_top_k"], -1)
        rows, columns = queries.unbind(-1)
        state.soft_ids[rows, columns] = top.indices
        state.soft_weights[rows, columns] = top.values.softmax(-1)

    def _reveal(self, state: State, queries, tokens, log_p, chosen: torch.Tensor) -> None:
        """Write the chosen tokens; a drawn mask leaves its place masked, as in the published samplers."""
        picked = chosen[queries[:, 0], queries[:, 1]]
        if self.denoiser.mask_id is not None:
            picked &= tokens != self.denoiser.mask_id
        rows, columns = queries[picked].unbind(-1)
        logprob = log_p[picked].gather(-1, tokens[picked, None])[:, 0]
        if logprob.isnan().any():
            job = int(state.job[int(rows[logprob.isnan()][0])])
            raise InputError(f"prompt {self.jobs[job][0]}: the model's prediction is not a number")
        state.ids[rows, columns] = tokens[picked]
        state.masked[rows, columns] = False
        state.revealed_at[rows, columns] = state.done[rows]
        state.logprob[rows, columns] = logprob

    def _advance(self, state: State, before_end: torch.Tensor) -> None:
        """One step on; to the next block after its last step, or as soon as nothing is left to do in this one."""
        state.step += 1
        state.done += 1
        over = state.step >= self.row["steps_per_block"]
        if not self.policy.revises and (not self.every_row or self.row["schedule"] == "finish"):
            over |= ~(state.masked & before_end).any(-1)
        state.block += over
        state.step[over] = 0
