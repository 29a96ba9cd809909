"""The table of how decoding in fewer steps changes a model's answers, each statistic beside the references'."""

from collections.abc import Container, Mapping

import numpy as np
import pandas as pd

from discreteness.coherence.summaries import disowned_share, mean_regret, perplexity
from discreteness.coherence.text import text_statistics, words
from discreteness.core.statistics import bootstrap_mean

TEXT = ("adjacent_duplicates", "seq_rep_4", "distinct_2", "unseen_bigrams")
ESTIMATE = ("value", "low", "high")
JUDGED = ("perplexity", "judge_entropy")
# Perplexity of the reference answers above which a judge is no model of the text
JUDGE_BOUND = 1000.0
COLUMNS = [
    *("decoder", "temperature", "steps", "statistic", *ESTIMATE),
    *("reference", "reference_low", "reference_high", "difference", "difference_low", "difference_high", "answers"),
]


def incoherence(
    decoders: Mapping[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]],
    seen: Container[tuple] | None,
    seed: int,
    adaptive: Container[str] = frozenset(),
) -> pd.DataFrame:
    """COLUMNS for one model on one data set: every statistic by decoder and number of steps.

    decoders: name -> its answers, rescored tokens and judged answers (None without a judge); `reference` is among them:
    its values are the columns reference… seen: word bigrams of the training text where it is known.
    adaptive: decoders with an adaptive number of steps; `steps` is then the mean number of forward passes, rounded.
    Text statistics are of words, averaged over a prompt's answers and then over prompts; difference is paired by
    prompt. low and high are 95 % bootstrap intervals over prompts, NaN where fewer than `statistics.FEWEST` prompts
    have a value, however many answers each has. Empty answers count in `empty` only, answers that still hold a mask in
    `unfinished`.
    """
    rows = []
    by_decoder = {
        name: _by_variant(answers, rescored, judged, seen=seen, seed=seed)
        for name, (answers, rescored, judged) in decoders.items()
    }
    (_, reference), *_ = by_decoder["reference"]
    reference.pop("regret")  # references were not revealed in steps
    for name, variants in by_decoder.items():
        if name == "reference":
            continue
        for (steps, temperature, passes), statistics in variants:
            for statistic, (estimate, by_prompt, answers) in statistics.items():
                base, base_by_prompt, _ = reference.get(statistic, ((np.nan,) * 3, None, 0))
                rows.append(
                    {
                        "decoder": name,
                        "temperature": temperature,
                        "steps": round(passes) if name in adaptive else steps,
                        "statistic": statistic,
                        **dict(zip(ESTIMATE, estimate, strict=True)),
                        **dict(zip(("reference", "reference_low", "reference_high"), base, strict=True)),
                        **_difference(by_prompt, base_by_prompt, seed),
                        "answers": answers,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def _difference(one: pd.Series | None, other: pd.Series | None, seed: int) -> dict[str, float]:
    names = ("difference", "difference_low", "difference_high")
    if one is None or other is None:
        return dict.fromkeys(names, np.nan)
    paired = (one - other).dropna()
    return dict(zip(names, map(float, bootstrap_mean(paired.to_numpy(), seed)), strict=True))


def _by_variant(answers, rescored, judged, seen, seed) -> list[tuple[tuple, dict]]:
    """((steps, temperature, mean forward passes), statistic -> (estimate, values by prompt, answers))."""
    variants = []
    for (steps, temperature), group in answers.groupby(["steps", "temperature"], dropna=False, sort=False):
        statistics = _statistics(
            group,
            rescored=_same(rescored, steps, temperature),
            judged=None if judged is None else _same(judged, steps, temperature),
            seen=seen,
            seed=seed,
        )
        variant = (int(steps), float(temperature), float(group["forward_passes"].mean()))
        variants.append((variant, statistics))
    return variants


def _same(table: pd.DataFrame, steps: int, temperature: float) -> pd.DataFrame:
    """The rows of a number of steps and a temperature, which may be NaN."""
    alike = table["temperature"].isna() if np.isnan(temperature) else np.isclose(table["temperature"], temperature)
    return table[(table["steps"] == steps) & alike]


def _statistics(answers, rescored, judged, seen, seed) -> dict[str, tuple]:
    """Statistic -> (estimate, values by prompt or None, answers) of the answers of one variant."""
    empty = answers["text"].str.strip() == ""
    unfinished = pd.Series([min(steps) < 0 for steps in answers["revealed_at"]], index=answers.index)
    tokens = rescored.dropna(subset="regret_weight").rename(columns={"regret_weight": "weight"})
    alone = rescored.dropna(subset="leave_one_out_weight").rename(columns={"leave_one_out_weight": "weight"})
    with_text = answers[~empty]
    statistics = {
        "regret": (_estimate(mean_regret(tokens, seed)), None, len(with_text)),
        "disowned": (_estimate(disowned_share(alone, seed)), None, len(with_text)),
        "empty": (*_mean(answers, empty.astype(float), seed), len(answers)),
        "unfinished": (*_mean(answers, unfinished.astype(float), seed), len(answers)),
    }
    names = [name for name in TEXT if seen is not None or name != "unseen_bigrams"]
    of_texts = [text_statistics(words(text), seen=seen) for text in with_text["text"]]
    texts = pd.DataFrame(of_texts, index=with_text.index, columns=names, dtype=float)  # has columns even without texts
    for name in names:
        statistics[name] = (*_mean(with_text, texts[name], seed), int(texts[name].notna().sum()))
    if judged is not None:
        pooled = perplexity(judged, judged["prompt_id"], seed)
        judgeable = judged[judged["judge_tokens"] > 0]
        statistics["perplexity"] = (_estimate(pooled), None, len(judgeable))
        statistics["judge_entropy"] = (*_mean(judgeable, judgeable["judge_entropy"], seed), len(judgeable))
    return statistics


def _estimate(pooled: Mapping[str, float]) -> tuple[float, float, float]:
    return tuple(pooled[name] for name in ESTIMATE)


def _mean(answers: pd.DataFrame, values: pd.Series, seed: int) -> tuple[tuple[float, float, float], pd.Series]:
    """Mean over prompts of their answers' mean with its interval, and the prompts' own values."""
    by_prompt = values.groupby(answers["prompt_id"]).mean().dropna()
    return tuple(map(float, bootstrap_mean(by_prompt.to_numpy(), seed))), by_prompt


def with_judge(table: pd.DataFrame, judge: str | None) -> pd.DataFrame:
    """The table with the columns `judge` (name of its row) and `judge_fits`, empty at statistics without a judge.

    judge_fits: `yes` where the judge gives a model's reference answers a perplexity of at most JUDGE_BOUND, else `no`:
    a judge trained on other text, or on another language, says nothing about the answers.
    """
    judged = table["statistic"].isin(JUDGED)
    perplexity = table[table["statistic"] == "perplexity"].groupby("model")["reference"].max()
    fits = np.where(table["model"].map(perplexity) <= JUDGE_BOUND, "yes", "no")
    return table.assign(judge=np.where(judged, judge or "", ""), judge_fits=np.where(judged, fits, ""))
