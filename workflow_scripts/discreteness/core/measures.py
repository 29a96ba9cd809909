"""Information measures on rows of log-probabilities. Everything is in nats; the last dimension is the vocabulary."""

import torch


def _finite(log_p: torch.Tensor) -> torch.Tensor:
    return log_p.clamp(min=-1e30)  # so that 0 · log 0 is 0 and not NaN


def entropy(log_p: torch.Tensor) -> torch.Tensor:
    """H(p) = −Σ p log p over the last dimension; 0 · log 0 = 0. (…, V) -> (…)."""
    return -(log_p.exp() * _finite(log_p)).sum(-1)


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) over the last dimension, (…, V) and broadcastable (…, V) -> (…); infinite where q lacks p's support."""
    difference = torch.where(log_p == -torch.inf, 0.0, log_p - log_q)
    return (log_p.exp() * difference).sum(-1).clamp(min=0)


def jensen_shannon(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """JS(p, q) = H((p + q) / 2) − (H(p) + H(q)) / 2, between 0 and ln 2. (…, V) twice -> (…)."""
    middle = (log_p.exp() + log_q.exp()) / 2
    mixed = torch.special.entr(middle).sum(-1)
    return (mixed - (entropy(log_p) + entropy(log_q)) / 2).clamp(min=0)


def renormalise_without(log_p: torch.Tensor, excluded: torch.Tensor) -> torch.Tensor:
    """Remove the tokens marked in `excluded` (V,) bool and renormalise the others, (…, V) -> (…, V)."""
    remaining = log_p.masked_fill(excluded, -torch.inf)
    return remaining - remaining.logsumexp(-1, keepdim=True)


def prompt_information(sum_p: torch.Tensor, sum_entropy: torch.Tensor, prompts: int) -> torch.Tensor:
    """I(C; X_i) = H(mean_c p_i(.|c)) − mean_c H(p_i(.|c)), equal to mean_c KL(p_i(.|c) ‖ mean_c' p_i(.|c')).

    sum_p (…, V): the prompts' distributions added up; sum_entropy (…): their entropies added up. At most ln(prompts).
    """
    mean = sum_p.double() / prompts
    return (torch.special.entr(mean).sum(-1) - sum_entropy.double() / prompts).clamp(min=0)
