"""Information-smooth schedules: information kept under noise, the noise at which it falls linearly, and a check."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from discreteness.core.statistics import bootstrap_mean, bootstrap_weights, percentile_interval
from discreteness.curves.corruption import (
    MEASURES,
    NOISE,
    information_kept,
    information_smooth,
    kept_by_masking,
    mismatch,
)
from discreteness.curves.records import by_mode, prompt_curves
from discreteness.languages.language import Language

SMOOTH_COLUMNS = ["padding", "corruption", "measure", "statistic", "noise", "value", "low", "high", "n"]


def smooth_corruption_of_language(language: Language, sentences: int, seed: int) -> pd.DataFrame:
    """SMOOTH_COLUMNS for every corruption of a known language.

    kept: information kept at noise t. schedule: the information-smooth schedule, for each s the noise t(s) at which the
    share s of the information is lost. smooth_kept: information kept at t(s), with t(s) derived from half of the
    sentences and measured on the other half; where it works this is the diagonal 1 − s. area: between the curve `kept`
    and the diagonal 1 − t. Intervals: 95 %, bootstrap over sentences.
    Smallest numbers of sentences (of answers in the functions below): 1, and 2 for an interval; for smooth_kept, which
    needs both halves, 2, and 4 for its interval. NaN below.
    """
    frames = []
    noise = np.asarray(NOISE)
    for corruption in ("mask", "uniform", "gaussian"):
        kept = information_kept(language, corruption, noise, sentences, seed)
        schedule = {name: information_smooth(noise, kept[name][::2].mean(0), noise) for name in MEASURES}
        for name in MEASURES:
            smooth = _kept_under(schedule[name], noise, kept[name][1::2])
            frames.append(_smooth_rows(corruption, name, noise, kept[name], smooth, seed))
    return pd.concat(frames, ignore_index=True).assign(padding=True)[SMOOTH_COLUMNS]


def smooth_corruption_of_records(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """SMOOTH_COLUMNS of a model's records, of the answers alone and of those with their padding."""
    frames = [
        smooth_corruption_of_curves(prompt_curves(rows), seed).assign(padding=mode == "padded")
        for mode, rows in by_mode(records).items()
    ]
    return pd.concat(frames, ignore_index=True)[SMOOTH_COLUMNS]


def smooth_corruption_of_curves(curves: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    """SMOOTH_COLUMNS but `padding`, for masking answers with measured curves, each weighted by its information.

    An answer that the model predicts with certainty when nothing is visible has no information to lose; it is left out.
    """
    noise, frames = np.asarray(NOISE), []
    curves = {prompt_id: f for prompt_id, f in curves.items() if f[0] > 0 and f.sum() > 0}
    if not curves:
        return pd.DataFrame(columns=SMOOTH_COLUMNS[1:])
    totals = {"tokens": [len(f) * f[0] for f in curves.values()], "sentence": [f.sum() for f in curves.values()]}
    shares = [kept_by_masking(f, noise) for f in curves.values()]
    for name in MEASURES:
        weight = np.array(totals[name]) / np.mean(totals[name])
        kept = np.array([share[name] for share in shares]) * weight[:, None]
        kept = kept + (1 - weight[:, None]) * kept.sum(0) / weight.sum()  # the mean is the ratio of sums
        schedule = information_smooth(noise, kept[::2].mean(0), noise)
        smooth = _kept_under(schedule, noise, kept[1::2])
        frames.append(_smooth_rows("mask", name, noise, kept, smooth, seed))
    return pd.concat(frames, ignore_index=True)


def _kept_under(schedule: np.ndarray, noise: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Information kept at the levels `noise`, (n, T), -> information kept at the levels of a schedule t(s), (n, T)."""
    return np.array([np.interp(schedule, noise, curve) for curve in kept]).reshape(len(kept), len(noise))


def _smooth_rows(corruption: str, measure: str, noise, kept: np.ndarray, smooth: np.ndarray, seed: int) -> pd.DataFrame:
    rows = []
    for statistic, values in (("kept", kept), ("smooth_kept", smooth)):
        for t, *estimate in zip(noise, *bootstrap_mean(values, seed), strict=True):
            rows.append((corruption, measure, statistic, t, *estimate, len(values)))
    means = bootstrap_weights(len(kept), seed) @ kept
    times = information_smooth(noise, kept.mean(0), noise)
    ends = percentile_interval([information_smooth(noise, mean, noise) for mean in means], len(kept))
    rows += [(corruption, measure, "schedule", *cell, len(kept)) for cell in zip(noise, times, *ends, strict=True)]
    low, high = percentile_interval(mismatch(noise, means), len(kept))
    rows.append((corruption, measure, "area", np.nan, float(mismatch(noise, kept.mean(0))), low, high, len(kept)))
    return pd.DataFrame(rows, columns=SMOOTH_COLUMNS[1:])
