"""The decoding loop: predict the masks, draw tokens, reveal those that the policy chooses, until no mask is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from discreteness.core.errors import InputError
from discreteness.core.scoring import PROMPT_OF_ROW, forbid, pad, query, run_batches
from discreteness.decoding.noise import CHUNK, Dream, Keyed, LLaDA
from discreteness.decoding.policies import NEVER, POLICIES, View
from discreteness.decoding.rows import check_denoiser, check_policy, forbidden_ids
from discreteness.decoding.schedules import quota
from discreteness.denoisers.base import Denoiser, check_context, check_ids


@dataclass
class Decoded:
    """Answers of P prompts, on the CPU.

    token_ids (P, samples, span) int64: the mask's id where a mask is left (the published samplers leave some when
    masks inside the prompt use up a step, or when the mask itself is drawn).
    revealed_at, same shape, int64: step at which the token was revealed, counted over all blocks; −1 for a mask.
    logprob_at_reveal, same shape, float32: ln p(token) under the model then (guidance and forbidden tokens included;
    temperature and truncation not); NaN for a mask.
    forward_passes (P, samples) int64: batches that the answer took part in (with guidance, of twice the size).
    """

    token_ids: torch.Tensor
    revealed_at: torch.Tensor
    logprob_at_reveal: torch.Tensor
    forward_passes: torch.Tensor


@dataclass
class Batch:
    """Answers that are decoded together, one row per answer (B). W: width of the batch, in tokens."""

    job: torch.Tensor  # (B,) index of prompt and sample, on the CPU
    ids: torch.Tensor  # (B, W) int64
    real: torch.Tensor  # (B, W) bool, no padding
    fixed: torch.Tensor  # (B, W) bool, prompt tokens that guidance hides
    masked: torch.Tensor  # (B, W) bool
    first: torch.Tensor  # (B,) column of the answer's first token
    block: torch.Tensor  # (B,) number of the current block
    step: torch.Tensor  # (B,) steps done in the block
    done: torch.Tensor  # (B,) steps done
    forwards: torch.Tensor  # (B,) forward passes
    revealed_at: torch.Tensor  # (B, W)
    logprob: torch.Tensor  # (B, W)
    soft_ids: torch.Tensor  # (B, W, k) most probable tokens at a mask; k = 0 without soft masks
    soft_weights: torch.Tensor  # (B, W, k) their probabilities, adding up to 1; 0 before the first prediction

    def take(self, rows: torch.Tensor) -> "Batch":
        """Some of the rows (B,) bool."""
        return Batch(*(getattr(self, f.name)[rows.to(getattr(self, f.name).device)] for f in fields(self)))


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
    """Fill `span` masks after every prompt, `samples` times, as a policy says.

    prompts: token ids; masks among them are filled too (and count among the tokens that a step reveals, as in the
    published samplers). policy: like a row of config/decoders.yaml; name: what messages call it.
    noise: `keyed` (random numbers depend on seed, prompt_id, sample, step and position: results do not depend on what
    else is decoded, nor on batch_tokens) or `reference` (one left-padded batch; the draws of LLaDA's `generate`, for
    the schedules `timesteps` and `none` of Dream's `diffusion_generate`, after `torch.manual_seed(seed)`).
    prompt_ids: names of the prompts in keys and messages; their indices where missing.
    batch_tokens: largest batch, tokens with padding; a batch that does not fit the device's memory is decoded again in
    halves (with keyed noise only).
    Raises InputError with one line for a row that does not fit span or model, a prompt that does not fit the model,
    non-finite logits, and an answer that does not fit the device's memory by itself.
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
        check_context(denoiser, f"prompt {prompt_id}", prompt, span)
        check_ids(denoiser, f"prompt {prompt_id}", prompt)
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
    chunks = []
    for chunk in log_p.split(max(1, CHUNK // log_p.shape[-1])):
        scaled = chunk / temperature if temperature > 0 else chunk
        if top_p is not None and top_p < 1:
            ordered, index = scaled.sort(-1, descending=True)
            beyond = ordered.softmax(-1).cumsum(-1) > top_p
            beyond = torch.nn.functional.pad(beyond[:, :-1], (1, 0))  # the first token above the bound stays
            scaled = scaled.masked_fill(torch.zeros_like(beyond).scatter(-1, index, beyond), NEVER)
        if top_k is not None:
            least = scaled.topk(min(top_k, scaled.shape[-1])).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, NEVER)
        chunks.append(scaled.log_softmax(-1))
    return torch.cat(chunks) if chunks else log_p


def select(scores: torch.Tensor, counts: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """(B, W) bool: the `counts` (B,) highest scores of every row among its candidates; the leftmost of equals."""
    order = scores.masked_fill(~candidates, NEVER).argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    ranks = torch.empty_like(order).scatter(-1, order, places)
    return candidates & (ranks < counts[:, None])


class _Run:
    """One call of `decode`: the model, the checked row, the jobs (prompt and sample), and the results."""

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
        """Decode all rows in one batch, padded on the left as the published samplers do."""
        self.every_row = True
        if self.row["schedule"] in ("timesteps", "none"):
            self.noise = Dream(seed, self.device)
        else:
            self.noise = LLaDA(seed, self.denoiser.vocab_size, self.row["temperature"], self.device)
        if self.jobs:
            self._store(self._decode_batch(list(range(len(self.jobs))), left=True))

    def keyed(self, seed: int, batch_tokens: int) -> None:
        """Decode in batches of rows of similar length."""
        self.every_row = False
        self.noise = Keyed(seed, self.jobs, self.device)
        lengths = [len(prompt) + self.span for prompt in self.prompts]
        limit = batch_tokens // 2 if self.row["cfg_scale"] else batch_tokens
        for _, finished in run_batches(self._decode_batch, lengths, limit, name="answers", unit="answer"):
            self._store(finished)

    @torch.inference_mode()
    def _decode_batch(self, jobs: list[int], left: bool = False) -> list[Batch]:
        """The answers of some jobs, in groups of those that finished at the same step."""
        batch, finished = self._start(jobs, left), []
        while len(batch.job):
            self._step(batch)
            is_over = batch.block >= self.row["blocks"]
            if is_over.any():
                finished.append(batch.take(is_over))
                batch = batch.take(~is_over)
        return finished

    def _start(self, jobs: list[int], left: bool) -> Batch:
        """The prompts of some jobs, padded, each with its masks."""
        padding, mask, k = self.denoiser.eos_ids[0], self.denoiser.mask_id, self.row["soft_mask_top_k"]
        unknown = [padding if mask is None else mask] * self.span
        sequences = [np.array([*self.prompts[job], *unknown], dtype=np.int64) for job in jobs]
        ids, real = pad(sequences, padding, left)
        size, width = ids.shape
        lengths = torch.tensor([len(self.prompts[job]) for job in jobs])
        first = torch.full((size,), width - self.span) if left else lengths
        in_answer = torch.arange(width) >= first[:, None]
        masked = real & (in_answer if mask is None else in_answer | (ids == mask))
        zeros = torch.zeros(size, dtype=torch.long)
        batch = Batch(
            job=torch.tensor(jobs),
            ids=ids,
            real=real,
            fixed=~in_answer & ~masked,
            masked=masked,
            first=first,
            block=zeros,
            step=zeros.clone(),
            done=zeros.clone(),
            forwards=zeros.clone(),
            revealed_at=torch.full((size, width), -1),
            logprob=torch.full((size, width), torch.nan),
            soft_ids=torch.zeros(size, width, k if self.row["soft_mask"] else 0, dtype=torch.long),
            soft_weights=torch.zeros(size, width, k if self.row["soft_mask"] else 0),
        )
        for f in fields(batch):
            if f.name != "job":
                setattr(batch, f.name, getattr(batch, f.name).to(self.device))
        return batch

    def _store(self, finished: list[Batch]) -> None:
        """Copy finished answers into the results."""
        for batch in finished:
            columns = batch.first[:, None] + torch.arange(self.span, device=self.device)
            self.tokens[batch.job] = batch.ids.gather(-1, columns).cpu()
            self.revealed_at[batch.job] = batch.revealed_at.gather(-1, columns).cpu()
            self.logprob[batch.job] = batch.logprob.gather(-1, columns).cpu()
            self.forwards[batch.job] = batch.forwards.cpu()

    def _step(self, batch: Batch) -> None:
        """One step of every row: choose positions, predict, draw tokens, reveal.

        A blind policy chooses before the prediction, the others after the draw.
        """
        row, policy = self.row, self.policy
        positions = torch.arange(batch.ids.shape[1], device=self.device) - batch.first[:, None]
        end = (batch.block[:, None] + 1) * row["block_length"]
        candidates = batch.masked & (positions < end)
        in_block = batch.real & (positions >= end - row["block_length"]) & (positions < end)
        view = View(
            row=row,
            candidates=candidates,
            positions=positions,
            revealed=in_block & ~batch.masked,
            step=batch.step,
            logprob_at_reveal=batch.logprob,
            draw=self.noise.positions,
        )
        self.noise.begin(batch.job.tolist(), batch.done.tolist(), candidates)
        if policy.blind:
            chosen, again = self._choose(view)
        needed = chosen if policy.blind else candidates
        queries, log_p = self._predict(batch, batch.masked if row["soft_mask"] else needed)
        if row["soft_mask"]:
            self._remember(batch, queries, log_p)
            wanted = needed[queries[:, 0], queries[:, 1]]
            queries, log_p = queries[wanted], log_p[wanted]
        log_q = sampling_log_probs(log_p, row)
        greedy = row["temperature"] == 0
        tokens = log_q.argmax(-1) if greedy else self.noise.tokens(log_q, queries, row["temperature"])
        if not policy.blind:
            view.queries, view.log_p, view.log_q, view.tokens = queries, log_p, log_q, tokens
            chosen, again = self._choose(view)
        self._reveal(batch, queries, tokens, log_p, chosen)
        if again is not None:
            batch.ids[again], batch.masked[again] = self.denoiser.mask_id, True
            batch.revealed_at[again], batch.logprob[again] = -1, torch.nan
            batch.soft_weights[again] = 0
        self._advance(batch, positions < end)

    def _choose(self, view: View) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Positions to reveal and positions to mask again, (B, W) bool each; the second None for most policies."""
        choice = self.policy.choose(view)
        scores, counts, again = (*choice, None, None)[:3] if isinstance(choice, tuple) else (choice, None, None)
        least = quota(self.row, view.step, view.candidates.sum(-1))
        counts = least if counts is None else torch.maximum(counts, least)
        if self.row["alg_temp"]:
            scores = scores.masked_fill(~view.candidates, NEVER) / self.row["alg_temp"]
            scores = self.noise.perturb(scores, counts)
        return select(scores, counts, view.candidates), again

    def _predict(self, batch: Batch, needed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (Q, V) at the needed places (B, W) bool, and the places (Q, 2).

        Rows without any do not pass through the model, except with reference noise, which is drawn for all rows.
        """
        present = torch.ones_like(needed[:, 0]) if self.every_row else needed.any(-1)
        queries, denoiser = needed.nonzero(), self.denoiser
        if not present.any():
            return queries, torch.zeros(0, denoiser.vocab_size, device=self.device)
        batch.forwards += present
        ids, real, where = batch.ids[present], batch.real[present], needed[present].nonzero()
        extra = {}
        if denoiser.corruption == "causal":  # what follows the last query cannot matter
            width = int(where[:, 1].max()) + 1
            ids, real = ids[:, :width], real[:, :width]
        if self.row["soft_mask"]:
            extra["mixture"] = self._mixture(batch, present)
        if self.row["cfg_scale"]:
            hidden = ids.masked_fill(batch.fixed[present], denoiser.mask_id)
            ids, real = torch.cat([ids, hidden]), torch.cat([real, real])
            where = torch.cat([where, where + torch.tensor([len(hidden), 0], device=self.device)])
        prompt_ids = [self.jobs[job][0] for job in batch.job[present.cpu()].tolist()]
        log_p = query(denoiser, ids, real, where, prompt_ids, message=PROMPT_OF_ROW, **extra).to(self.device)
        if self.row["cfg_scale"]:
            with_prompt, without = log_p.chunk(2)
            guided = without + (self.row["cfg_scale"] + 1) * (with_prompt - without)
            log_p = guided.masked_fill(with_prompt == NEVER, NEVER).log_softmax(-1)  # impossible tokens stay so
        return queries, forbid(log_p, self.forbidden)

    def _mixture(self, batch: Batch, present: torch.Tensor):
        """The mixed input of masks: places (N, 2), token ids (N, 1 + k) with the mask first, weights (N, 1 + k)."""
        share = self.row["soft_mask"]
        known = batch.masked & (batch.soft_weights.sum(-1) > 0)
        ids, weights = (soft[present][known[present]] for soft in (batch.soft_ids, batch.soft_weights))
        mask = torch.full_like(ids[:, :1], self.denoiser.mask_id)
        rest = torch.full_like(weights[:, :1], 1 - share)
        return known[present].nonzero(), torch.cat([mask, ids], -1), torch.cat([rest, share * weights], -1)

    def _remember(self, batch: Batch, queries: torch.Tensor, log_p: torch.Tensor) -> None:
        """Store the most probable tokens of every mask for the next step's input."""
        top = log_p.topk(self.row["soft_mask_top_k"], -1)
        rows, columns = queries.unbind(-1)
        batch.soft_ids[rows, columns] = top.indices
        batch.soft_weights[rows, columns] = top.values.softmax(-1)

    def _reveal(self, batch: Batch, queries, tokens, log_p, chosen: torch.Tensor) -> None:
        """Write the chosen tokens; a drawn mask leaves its place masked, as in the published samplers."""
        picked = chosen[queries[:, 0], queries[:, 1]]
        if self.denoiser.mask_id is not None:
            picked &= tokens != self.denoiser.mask_id
        rows, columns = queries[picked].unbind(-1)
        logprob = log_p[picked].gather(-1, tokens[picked, None])[:, 0]
        if logprob.isnan().any():
            job = int(batch.job[int(rows[logprob.isnan()][0])])
            raise InputError(f"prompt {self.jobs[job][0]}: the model's prediction is not a number")
        batch.ids[rows, columns] = tokens[picked]
        batch.masked[rows, columns] = False
        batch.revealed_at[rows, columns] = batch.done[rows]
        batch.logprob[rows, columns] = logprob

    def _advance(self, batch: Batch, before_end: torch.Tensor) -> None:
        """Count the step; go to the next block after the block's last step, or as soon as it has no masks."""
        batch.step += 1
        batch.done += 1
        over = batch.step >= self.row["steps_per_block"]
        if not self.policy.revises and (not self.every_row or self.row["schedule"] == "finish"):
            over |= ~(batch.masked & before_end).any(-1)
        batch.block += over
        batch.step[over] = 0
