"""What decoding in steps of given sizes costs by the information curve: expected KL, bounds, optimal sizes. In nats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discreteness.core.errors import InputError

_BLOCK = 128  # rows of the dynamic program at a time: its work fits the processor's cache


def expected_kl(f: Sequence[float], step_sizes: Sequence[int]) -> float:
    """What parallel decoding in steps of these sizes costs in uniformly random order, nats.

    The KL of the factorised sampler from the joint, given the order and averaged over orders,
    Σ_s [ n_s f(k_s) − Σ_{j<n_s} f(k_s + j) ] with k_s = n_1 + … + n_{s−1}: the left-Riemann error of the information
    curve f(0 … L−1) (arXiv 2511.04647). The sampler's KL as a mixture over orders is lower. Raises InputError where the
    step sizes are not positive or do not add up to L.
    """
    _check_sizes(f, step_sizes)
    price, visible = 0.0, 0
    for size in step_sizes:
        price += size * float(f[visible]) - sum(float(value) for value in f[visible : visible + size])
        visible += size
    return price


def expected_regret(f: Sequence[float], step_sizes: Sequence[int]) -> float:
    """How much more of a step's tokens is known from the step's other tokens than without them, nats an answer.

    Σ_s n_s [f(k_s) − f(k_s + n_s − 1)], in uniformly random order, for tokens that belong together as those of the
    reference answers do. What parallel decoding writes instead is less probable given the step's others: its measured
    regret is the same difference with the other sign, to second order as large where the tokens of a step depend on
    each other weakly; where they do so in pairs, both are twice `expected_kl`. Raises InputError as `expected_kl`.
    """
    _check_sizes(f, step_sizes)
    known, visible = 0.0, 0
    for size in step_sizes:
        known += size * (float(f[visible]) - float(f[visible + size - 1]))
        visible += size
    return known


def _check_sizes(f: Sequence[float], step_sizes: Sequence[int]) -> None:
    if sum(step_sizes) != len(f) or min(step_sizes) < 1:
        raise InputError(f"step sizes {list(step_sizes)} do not reveal {len(f)} positions in steps of one or more")


def optimal_steps(f: Sequence[float], steps: int) -> list[int]:
    """The sizes of `steps` parallel steps over the L positions of f that cost least, by `expected_kl`.

    Exact for any finite curve, also a noisy one that rises, by dynamic programming over all compositions of L
    (arXiv 2511.04647 derives them from the same curve). As Σ_k f(k) is common to all, the sizes minimise
    Σ_s n_s f(k_s). Time is O(K (L − K + 1)²). Among equals the later steps are the larger ones. Raises InputError for a
    number of steps outside 1 … L and for values that are not finite.
    """
    f = np.asarray(f, dtype=np.float64)
    if not 1 <= steps <= len(f):
        raise InputError(f"steps = {steps} do not reveal {len(f)} positions (expected 1 to {len(f)})")
    if not np.isfinite(f).all():
        raise InputError(f"information curve: f({int((~np.isfinite(f)).argmax())}) is not finite")
    # After s steps between s and s + L − K positions are visible; these are the columns. A constant added to f costs
    # every composition the same, and a positive f keeps the infinite sizes of impossible steps infinite.
    width = len(f) - steps + 1
    f = f - f.min() + 1
    column = np.arange(width)
    sizes = (column[:, None] - column + 1).astype(np.float64)  # of the step from column j to i of the next step
    sizes[sizes < 1] = np.inf
    before = np.full(width, np.inf)
    before[0] = 0.0
    came_from = np.empty((steps, width), dtype=np.int32)
    for step in range(steps):
        price, after = f[step : step + width], np.empty(width)
        for first in range(0, width, _BLOCK):
            last = min(first + _BLOCK, width)
            total = sizes[first:last, :last] * price[:last]
            total += before[:last]
            best = total.argmin(1)
            came_from[step, first:last] = best
            after[first:last] = total[np.arange(last - first), best]
        before = after
    found, place = [], width - 1
    for step in reversed(range(steps)):
        previous = int(came_from[step, place])
        found.append(place - previous + 1)
        place = previous
    return found[::-1]


def li_cai_bound(f: Sequence[float], step_sizes: Sequence[int]) -> float:
    """Upper bound on `expected_kl` from the largest step alone, nats (Li and Cai, arXiv 2505.21400, Theorem 1).

    (2^⌈log2 n_max⌉ − 1) / L · Σ_i I(X_i; X_−i), where the mean mutual information of a token with all others is
    f(0) − f(L − 1). It holds where f does not rise, as the curve of any exact model; for a learned model it is
    their bound without its training error.
    """
    largest = max(step_sizes)
    return float((2 ** (largest - 1).bit_length() - 1) * (f[0] - f[-1]))
