"""Cost of decoding in steps of given sizes, by the information curve: expected KL, bound, optimal sizes. In nats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discreteness.core.errors import InputError

_BLOCK = 128  # rows of the dynamic program at a time, so that they fit the processor's cache


def expected_kl(f: Sequence[float], step_sizes: Sequence[int]) -> float:
    """What parallel decoding in steps of these sizes costs in uniformly random order, nats per answer.

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
    """How much the loss of a step's tokens falls when the step's other tokens are visible too, nats per answer.

    Σ_s n_s [f(k_s) − f(k_s + n_s − 1)], in uniformly random order, for tokens drawn jointly, as in reference answers.
    The tokens that parallel decoding draws independently are less probable given the step's other tokens. Their
    measured regret is the same difference with the opposite sign, equal in size to second order where the tokens of a
    step depend on each other weakly. Where they depend on each other in pairs, both are twice `expected_kl`. Raises
    InputError as `expected_kl`.
    """
    _check_sizes(f, step_sizes)
    gain, visible = 0.0, 0
    for size in step_sizes:
        gain += size * (float(f[visible]) - float(f[visible + size - 1]))
        visible += size
    return gain


def _check_sizes(f: Sequence[float], step_sizes: Sequence[int]) -> None:
    if sum(step_sizes) != len(f) or min(step_sizes) < 1:
        raise InputError(f"step sizes {list(step_sizes)} do not reveal {len(f)} positions in steps of one or more")


def optimal_steps(f: Sequence[float], steps: int) -> list[int]:
    """The sizes of `steps` parallel steps over the L positions of f with the lowest `expected_kl`.

    Exact for any finite curve, also a noisy one that rises, by dynamic programming over all compositions of L
    (arXiv 2511.04647 derives the sizes from the same curve). As Σ_k f(k) is the same for all compositions, the sizes
    minimise Σ_s n_s f(k_s). Time is O(K (L − K + 1)²). Of equally good sizes, those with larger later steps are
    returned. Raises InputError for a
    number of steps outside 1 … L and for values that are not finite.
    """
    f = np.asarray(f, dtype=np.float64)
    if not 1 <= steps <= len(f):
        raise InputError(f"steps = {steps} do not reveal {len(f)} positions (expected 1 to {len(f)})")
    if not np.isfinite(f).all():
        raise InputError(f"information curve: f({int((~np.isfinite(f)).argmax())}) is not finite")
    # After s steps, s to s + L − K positions are visible: one column for each. A constant added to f adds the same to
    # every composition's cost, and with f > 0 the infinite sizes of impossible steps keep an infinite cost.
    width = len(f) - steps + 1
    f = f - f.min() + 1
    column = np.arange(width)
    sizes = (column[:, None] - column + 1).astype(np.float64)  # of the step from column j to column i
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
    chosen, place = [], width - 1
    for step in reversed(range(steps)):
        previous = int(came_from[step, place])
        chosen.append(place - previous + 1)
        place = previous
    return chosen[::-1]


def li_cai_bound(f: Sequence[float], step_sizes: Sequence[int]) -> float:
    """Upper bound on `expected_kl` from the largest step size alone, nats (Li and Cai, arXiv 2505.21400, Theorem 1).

    (2^⌈log2 n_max⌉ − 1) / L · Σ_i I(X_i; X_−i), where the mean mutual information of a token with all others is
    f(0) − f(L − 1). It holds where f does not rise, as for any exact model; for a learned model it is their bound
    without the term for its training error.
    """
    largest = max(step_sizes)
    return float((2 ** (largest - 1).bit_length() - 1) * (f[0] - f[-1]))
