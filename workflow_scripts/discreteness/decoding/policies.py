"""Unmasking policies: which masks become tokens now. One function each; the decorator is all it takes to add one.

A policy sees a `View` of one step and returns scores (B, W), the highest revealed first; how many is the schedule's
business. It may instead return `(scores, counts)` with its own number per row, (B,), and `(scores, counts, again)`
with the tokens to be masked again, (B, W) bool. B: rows, W: columns of the batch, prompts included.

What a policy is (see `Policy`) stands in its decorator only. Rules and tables read it from here, without
importing torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from discreteness.core.lazy import LazyModule
from discreteness.core.schedules import EPS, shares

torch = LazyModule("torch")

NEVER = -math.inf  # the score of what is no candidate


@dataclass
class View:
    """What a policy may look at. Everything (B, W) is −inf where there is no candidate, unless stated otherwise.

    row: the checked policy row. candidates (B, W) bool: masks before the block's end. positions (B, W) int64: column
    counted from the answer's first token. revealed (B, W) bool: tokens of the block that are no masks any more.
    step (B,): steps done in the block. logprob_at_reveal (B, W) nats, NaN where nothing was revealed.
    draw: () -> (B, W) uniform numbers; keyed ones are the same at every call within a step.
    Only for policies that are not blind: queries (Q, 2) of (row, column), log_p (Q, V) the model's log-probabilities,
    log_q (Q, V) the same after temperature and truncation, tokens (Q,) drawn from log_q.
    """

    row: Mapping[str, Any]
    candidates: torch.Tensor
    positions: torch.Tensor
    revealed: torch.Tensor
    step: torch.Tensor
    logprob_at_reveal: torch.Tensor
    draw: Callable[[], torch.Tensor]
    queries: torch.Tensor | None = None
    log_p: torch.Tensor | None = None
    log_q: torch.Tensor | None = None
    tokens: torch.Tensor | None = None

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """(Q,) values of the queries -> (B, W)."""
        full = torch.full(self.candidates.shape, NEVER, dtype=values.dtype, device=values.device)
        full[self.queries[:, 0], self.queries[:, 1]] = values
        return full

    @property
    def confidence(self) -> torch.Tensor:
        """Probability of the drawn token under the model (temperature 1, nothing truncated)."""
        return self.spread(self.log_p.gather(-1, self.tokens[:, None])[:, 0].exp())

    @property
    def sampling_confidence(self) -> torch.Tensor:
        """Probability of the drawn token under the distribution it was drawn from."""
        return self.spread(self.log_q.gather(-1, self.tokens[:, None])[:, 0].exp())

    @property
    def margin(self) -> torch.Tensor:
        """Difference of the two largest probabilities, after temperature and truncation."""
        top = self.log_q.topk(2, -1).values.exp()
        return self.spread(top[:, 0] - top[:, 1])

    @property
    def negative_entropy(self) -> torch.Tensor:
        """−H in nats, after temperature and truncation."""
        chunks = [torch.special.entr(part.exp()).sum(-1) for part in self.log_q.split(256)]
        return self.spread(-torch.cat(chunks) if chunks else self.log_q.new_zeros(0))


@dataclass(frozen=True)
class Policy:
    """A registered policy.

    schedule: where its numbers come from: `equal` or `timesteps` unless the row says otherwise; `finish` for policies
    with their own counts, of which the schedule is the least; `none` for those that may reveal nothing.
    blind: its choice does not depend on the predictions, so only the chosen positions pass through the output head.
    revises: it masks tokens again. A block without masks is then not finished, and the states that the model was shown
    do not follow from when each token took its place, so that log-probabilities at reveal are computed again.
    adaptive: its number of steps depends on the predictions. It is decoded once, with the largest number of steps asked
    for as a bound, and shown at the forward passes that it took. True for `finish` unless stated otherwise.
    defaults: its own keys with their defaults.
    """

    choose: Callable[[View], Any]
    schedule: str
    blind: bool
    revises: bool
    adaptive: bool
    defaults: dict = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether a schedule alone decides how many tokens a step reveals."""
        return self.schedule in ("equal", "timesteps")


POLICIES: dict[str, Policy] = {}


def policy(
    name: str,
    schedule: str = "equal",
    blind: bool = False,
    revises: bool = False,
    adaptive: bool | None = None,
    **defaults: Any,
):
    """Register a function `View -> scores` as the order `name`; the arguments are described at `Policy`."""
    if adaptive is None:
        adaptive = schedule == "finish"

    def register(choose: Callable[[View], Any]) -> Callable[[View], Any]:
        POLICIES[name] = Policy(choose, schedule, blind, revises, adaptive, defaults)
        return choose

    return register


@policy("random", blind=True)
def random(view: View):
    """Uniformly random positions, a fixed number per step (LLaDA's `remasking="random"`)."""
    return view.draw()


@policy("left_to_right", blind=True)
def left_to_right(view: View):
    """The leftmost masks: with one per step, autoregressive order."""
    return -view.positions.float()


@policy("low_confidence")
def low_confidence(view: View):
    """Highest probability of the drawn token first; LLaDA (2502.09992) names it by what stays masked."""
    return view.confidence


@policy("maskgit_plus", schedule="timesteps")
def maskgit_plus(view: View):
    """Dream's `maskgit_plus`: as `low_confidence`, with the probability after temperature and truncation."""
    return view.sampling_confidence


@policy("topk_margin", schedule="timesteps")
def topk_margin(view: View):
    """Dream's `topk_margin`: largest difference of the two highest probabilities first."""
    return view.margin


@policy("entropy", schedule="timesteps")
def entropy(view: View):
    """Dream's `entropy`: lowest entropy first."""
    return view.negative_entropy


@policy("confidence_threshold", schedule="finish", threshold=0.9)
def confidence_threshold(view: View):
    """Every position whose confidence exceeds `threshold` (Fast-dLLM, arXiv 2505.22618)."""
    confidence = view.confidence
    return confidence, (confidence > view.row["threshold"]).sum(-1)


@policy("confidence_factor", schedule="finish", factor=1.0)
def confidence_factor(view: View):
    """The r-th most confident position while its confidence is at least 1 − factor/(r + 1) (Fast-dLLM)."""
    confidence = view.confidence
    ranked = confidence.sort(-1, descending=True).values
    rank = torch.arange(1, ranked.shape[-1] + 1, device=ranked.device)
    return confidence, (ranked >= 1 - view.row["factor"] / (rank + 1)).cumprod(-1).sum(-1)


@policy("entropy_bound", schedule="finish", gamma=0.1)
def entropy_bound(view: View):
    """The k lowest entropies while their sum without the largest is at most `gamma` nats (EB-Sampler, 2505.24857)."""
    scores = view.negative_entropy
    ranked = -scores.sort(-1, descending=True).values
    before = torch.nn.functional.pad(ranked.cumsum(-1)[:, :-1], (1, 0))
    return scores, (before <= view.row["gamma"]).sum(-1)


@policy("origin", schedule="none", blind=True, eps=EPS)
def origin(view: View):
    """Ancestral sampling (D3PM, MDLM; Dream's `origin`): every mask on its own, with probability 1 − s/t."""
    share = shares(view.row["steps_per_block"], view.row["eps"]).to(view.step.device)[view.step, None]
    uniform = view.draw()
    return -uniform, ((uniform < share) & view.candidates).sum(-1)


@policy("remdm", schedule="none", blind=True, revises=True, remask="cap", eta=0.02)
def remdm(view: View):
    """ReMDM (arXiv 2503.00307), linear time: a token is masked again with probability σ, a mask revealed to match.

    With α the share revealed before and α' after the step, σ_max = min(1, (1 − α') / α), and σ = min(eta, σ_max)
    (`cap`), eta·σ_max (`rescale`), or σ_max weighted by exp(−probability at reveal), normalised over the block
    (`confidence`). A mask is revealed with probability (α' − (1 − σ) α) / (1 − α); all that are left in the last step.
    """
    steps = view.row["steps_per_block"]
    before, after = view.step[:, None] / steps, (view.step[:, None] + 1) / steps
    highest = torch.where(before > 0, (1 - after) / before, 0.0).clamp(max=1)
    eta = view.row["eta"]
    if view.row["remask"] == "confidence":
        weight = torch.where(view.revealed, -view.logprob_at_reveal.exp(), NEVER)
        sigma = highest * torch.nan_to_num(weight.softmax(-1))  # (B, W)
        mean = sigma.sum(-1, keepdim=True) / view.revealed.sum(-1, keepdim=True).clamp(min=1)
    else:
        sigma = mean = highest.clamp(max=eta) if view.row["remask"] == "cap" else eta * highest
    share = (after - (1 - mean) * before) / (1 - before)
    uniform = view.draw()
    reveal = (uniform < share) | (after >= 1)
    return -uniform, (reveal & view.candidates).sum(-1), view.revealed & (uniform < sigma)
