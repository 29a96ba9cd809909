"""Noise taken out of a curve that is known to rise or fall, or to fall ever more slowly."""

import numpy as np


def isotonic(values: np.ndarray) -> np.ndarray:
    """The rising sequence nearest to `values` in squares, by pooling adjacent violators (Ayer et al. 1955)."""
    means, counts = [], []
    for value in values:
        means.append(float(value))
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            count = counts[-2] + counts[-1]
            means[-2:] = [(means[-2] * counts[-2] + means[-1] * counts[-1]) / count]
            counts[-2:] = [count]
    return np.repeat(means, counts)


def convex(values: np.ndarray) -> np.ndarray:
    """A falling convex sequence near `values`, with their mean: fitted to fall, its slopes then fitted to rise."""
    falling = -isotonic(-np.asarray(values, dtype=np.float64))
    fitted = np.concatenate([[0.0], np.cumsum(isotonic(np.diff(falling)))])
    return fitted + (falling - fitted).mean()
