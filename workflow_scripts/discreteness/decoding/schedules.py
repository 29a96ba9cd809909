"""How many masks become tokens at each step of a block."""

import torch

from discreteness.core.schedules import shares


def quota(row: dict, step: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """(B,) int64: masks to reveal in this step, where a policy does not say more.

    row: a checked policy; step (B,): steps already done in the block; candidates (B,): masks before the block's end.
    Schedules: `sizes`: a fixed list; `timesteps`: Dream's, rounded down; `finish`: the remaining masks over the
    remaining steps, rounded up; `none`: 0.
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
