"""How many masks become tokens at each step of a block."""

import torch


def equal_sizes(total: int, steps: int, remainder: str = "first") -> list[int]:
    """`total` positions over `steps` steps as evenly as possible; what is left over goes to the first or last steps.

    LLaDA's `get_num_transfer_tokens` puts it first; the information curve says that the last steps bear it better.
    """
    base, extra = divmod(total, steps)
    more, less = [base + 1] * extra, [base] * (steps - extra)
    return more + less if remainder == "first" else less + more


def shares(steps: int, eps: float) -> torch.Tensor:
    """(steps,) float32: the share of the remaining masks that each step reveals when time runs linearly from 1 to eps.

    `1 − s/t` of Dream's `diffusion_generate`, in its precision; the last step reveals whatever is left.
    """
    times = torch.linspace(1, eps, steps + 1)
    share = 1 - times[1:] / times[:-1]
    share[-1] = 1
    return share


def quota(row: dict, step: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """(B,) int64: masks to reveal now, before a policy's own rule.

    row: a checked policy; step (B,): steps already done in the block; candidates (B,): masks before the block's end.
    Schedules: `sizes`: a fixed list; `timesteps`: Dream's, truncated; `finish`: as few as allow all steps to finish.
    """
    if row["schedule"] == "timesteps":
        share = shares(row["steps_per_block"], row["eps"]).to(candidates.device)
        return (candidates.float() * share[step]).long()
    if row["schedule"] == "finish":
        left = row["steps_per_block"] - step
        return (candidates + left - 1) // left
    if row["schedule"] == "none":
        return torch.zeros_like(candidates)
    sizes = torch.tensor(row["sizes"], device=candidates.device)
    return torch.minimum(sizes[step], candidates)
