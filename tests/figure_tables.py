"""Tables of every figure made by formula, and ways to make them odd."""

import itertools

import numpy as np
import pandas as pd

from discreteness.curves.step_sizes import expected_kl
from discreteness.figures import (
    incoherence,
    information_decay,
    marginal_trap_steps,
    marginal_trap_toy,
    plotting,
    price_of_parallelism,
    smooth_corruption,
)

WORDS = {
    "content": [*"Yes| river| water| erosion| valley| distance| representation|ing| floods".split("|"), "Ġdelta"],
    "function": [" the", " of", " and", " a", " in", " to", " is", " that"],
    "punctuation": [",", ".", " (", "\n", "\n\n", " -"],
    "number": [" 1", " 2019", "3"],
    "special": ["<|endoftext|>", "<|eot_id|>"],
}
GLYPHS = [
    "$x_1$",
    "脑细胞",
    "\x00\x1b",
    "�",
    "é",
    "مرحبا",
    " \u200b",
    '","',
    "\r",
    "null",
    "NA",
    "",
    "🧠",
    "\\frac{",
    "ि",
]
PROMPT = "Can a river change its course? By change I mean moving far (preferably within one lifetime)."
LANGUAGES = {
    "toy": (["He I", "likes play", "apple tennis"], ["He likes apple", "I play tennis"]),
    "abab": (["A B"] * 4, ["A B A B", "B A B A"]),
}
DECODINGS = ("one step", "two steps", "sequential")
DECODERS = ("random", "low_confidence", "left_to_right", "entropy")
ODD = "脑 $x_1$ \\frac{ a_name_that_is_far_too_long_for_any_place_in_a_figure_of_seven_inches_or_a_legend"


def class_mix(position: int, reach: float) -> np.ndarray:
    """Shares of the five classes at a position: content first, then function words, punctuation, the end."""
    x = position / reach
    mix = np.array([np.exp(-x / 2), 0.25 + x * np.exp(-x / 2), 0.1 + 0.5 * x * np.exp(-x / 3), 0.05, 0.02 + 0.3 * x**2])
    return mix / mix.sum()


def different_tokens(draw, mix, k, words=None) -> list[tuple[str, str]]:
    """k different tokens with their classes, drawn by the classes' shares and Zipf's law within a class."""
    chosen: dict[str, str] = {}
    while len(chosen) < k:
        name = str(draw.choice(list(WORDS), p=mix))
        tokens = words or WORDS[name]
        chosen.setdefault(tokens[min(draw.zipf(1.6) - 1, len(tokens) - 1)], name)
    return [(name, token) for token, name in chosen.items()]


def top3_table(span=128, k=3, prompt=PROMPT, peak=0.9, reach=8.0, words=None, seed=0) -> pd.DataFrame:
    """Predictions that are sharp near the prompt, then function words and punctuation, then the end."""
    draw = np.random.default_rng(seed)
    rows = []
    for position in range(span):
        mix = class_mix(position, reach)
        sharp = peak * max(np.exp(-position / reach), float(mix[4]) ** 2, 0.05 / peak)
        probabilities = sharp * 0.45 ** np.arange(k) * (1 - 0.3 * draw.random())
        answer = WORDS["content"][position % 10] if position < 60 else "<|endoftext|>"
        probabilities /= max(1.0, probabilities.sum())
        entropy = float(7.5 * (1 - sharp) ** 1.5)
        for rank, (name, token) in enumerate(different_tokens(draw, mix, k, words), 1):
            rows.append((position, rank, len(rows), token, name, probabilities[rank - 1], entropy, answer))
    columns = "position rank token_id token token_class probability entropy answer_token".split()
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(model="docs-base", dataset="docs", prompt_id="docs:17", prompt=prompt)


def interval(model, statistic, variant, value, width, **more) -> pd.DataFrame:
    """Rows of one statistic over positions, `width` wide on each side."""
    frame = pd.DataFrame(
        {"position": np.arange(len(value)), "value": value, "low": value - width, "high": value + width}
    )
    return frame.assign(model=model, statistic=statistic, variant=variant, **({"token_class": ""} | more))


def collapse_model(model: str, span: int, prompts: int, reach: float, seed: int) -> pd.DataFrame:
    """Every statistic of one model that forgets its prompt over about `reach` positions."""
    draw = np.random.default_rng(seed)
    x = np.arange(span)

    def noisy(curve, size=0.03):
        return curve + size * draw.standard_normal(span).cumsum() * 0.2

    mixes = np.array([class_mix(position, reach) for position in x])
    information = noisy(2.3 * np.exp(-x / reach) + 0.02, 0.02).clip(0)
    end = mixes[:, 4] ** 0.5 * 0.9
    parts = [
        interval(model, "entropy", "all", noisy(3.5 + 2 * np.exp(-((x - 8) ** 2) / 90) - 3 * end), 0.25),
        interval(model, "entropy", "without_eos", noisy(4 + 1.8 * (1 - np.exp(-x / 6))), 0.25),
        interval(model, "top1_probability", "all", noisy(0.12 + 0.35 * np.exp(-x / 3) + 0.7 * end).clip(0, 1), 0.04),
        interval(model, "top1_probability", "without_eos", noisy(0.14 + 0.33 * np.exp(-x / 3)), 0.04),
        interval(model, "eos_probability", "all", end, 0.03),
        interval(model, "kl_unigram", "all", noisy(0.3 + 3.5 * np.exp(-x / 5) + 0.3 * end), 0.15),
        interval(model, "kl_unigram", "without_eos", noisy(0.5 + 4.3 * np.exp(-x / 7)), 0.2),
        interval(model, "prompt_information", "", information, 0.06 + 0.1 * information),
        interval(model, "usable_information", "", noisy(1.5 * np.exp(-x / reach) - 0.08), 0.2),
        interval(model, "answer_nll", "", noisy(4.5 + 1.5 * (1 - np.exp(-x / 5))), 0.3),
        interval(model, "js_next", "", np.where(x == span - 1, np.nan, 0.01 + 0.5 * np.exp(-x / 4)), 0.03),
        interval(model, "js_far", "", 0.02 + 0.62 * np.exp(-x / 9), 0.03),
    ]
    for variant in ("all", "without_eos"):
        share = mixes.copy()
        if variant == "without_eos":
            share[:, 4] = 0
        share /= share.sum(1, keepdims=True)
        for i, name in enumerate(plotting.CLASS_COLOURS):
            parts.append(interval(model, "class_share", variant, share[:, i], 0.05, token_class=name))
    collapse = float(np.argmax(information < 0.1 * information.max()))
    point = {
        "value": collapse,
        "low": collapse - 2,
        "high": collapse + 3,
        "model": model,
        "variant": "",
        "token_class": "",
    }
    parts.append(pd.DataFrame([point | {"statistic": "collapse_point", "position": np.nan}]))
    return pd.concat(parts).assign(dataset="docs", prompts=prompts)


def collapse_table(models=("docs-base",), span=128, prompts=100) -> pd.DataFrame:
    """The table of several models, each of its own reach."""
    frames = [collapse_model(name, span, prompts, 6 + 7 * i, i) for i, name in enumerate(models)]
    return pd.concat(frames, ignore_index=True)


def decay_table(models=("docs-base", "docs-instruct")) -> pd.DataFrame:
    """Information falls with the share masked and with distance; content words lose more than function words."""
    rows = []

    def add(model, view, variant, group, value, width=0.15, padding=True):
        rows.append((model, padding, view, variant, str(group), value, value - width, value + width, 100, 4200))

    ratios = np.linspace(0.05, 1, 11).round(3)
    for m, model in enumerate(models):
        for variant, more, padding in (("all", 0.6, True), ("text", 0, True), ("all", -0.5, False)):
            more -= 0.3 * m
            for ratio in ratios:
                add(model, "mask_ratio", variant, ratio, 5.5 - 4 * ratio + more, padding=padding)
            for distance in (1, 2, 3, 4.5, 6.5, 9.5, 13.5, 19.5, 27.5, 39.5, 55.5, 79.5):
                add(model, "distance_to_visible", variant, distance, 4.5 / distance**0.5 + more, padding=padding)
            for position in (0, 1, 2, 3, 4.5, 6.5, 9.5, 13.5, 19.5, 27.5, 39.5, 55.5, 79.5, 111.5):
                add(model, "position", variant, position, 3 + 0.8 * np.exp(-position / 4) + more, padding=padding)
        classes = {"content": 3.6, "function": 2.1, "punctuation": 1.6, "number": 3.9}
        for variant in ("all", "text"):
            for name, value in classes.items():
                add(model, "token_class", variant, name, value - 0.3 * m)
        add(model, "token_class", "all", "special", 0.6, 0.03)
        for ratio, padding in itertools.product(ratios, (True, False)):
            width = 6.4 + 1.5 * ratio + 0.5 * m + padding
            add(model, "spread", "p90_p10", ratio, width, 0.4, padding=padding)
            for name, share in (("p10", -0.4), ("p50", 0.1), ("p90", 0.6)):
                add(model, "spread", name, ratio, 2 + share * width, padding=padding)
            add(model, "spread", "sd", ratio, 2.5 + 0.5 * ratio, padding=padding)
        for variant, scale in (("mean_nll", 1.0), ("total_nll", 20.0), ("recoverable", 0.8)):
            for name, value in (("content", 4.1), ("function", 2.0), ("difference", 2.1)):
                add(model, "salience", variant, name, scale * (value + 0.2 * m), padding=False)
    return pd.DataFrame(rows, columns=information_decay.COLUMNS)


def price_table(models=("docs-base",), language=False, steps=(1, 2, 4, 8, 16, 32, 64, 128)) -> pd.DataFrame:
    """Prices that end at 0; a language's are known exactly and sampled, real text's answers are measured."""
    rows = []
    for (m, model), padding in itertools.product(enumerate(models), (True,) if language else (False, True)):
        for k in steps:
            price = (30 + 5 * m) * (1 / k - 1 / max(steps)) ** 1.2 if k < max(steps) else 0.0
            for i, schedule in enumerate(price_of_parallelism.SCHEDULES):
                value = price * (1, 0.55, 1.05, 0.8, 0.9)[i] if k > 1 else price
                rows.append(
                    (model, padding, "price", schedule, k, value, 0.93 * value - 0.005, 1.07 * value + 0.005, 100)
                )
                if price and i:
                    share = value / price
                    rows.append((model, padding, "relative", schedule, k, share, share - 0.1, share + 0.1, 100))
                if language:
                    if schedule in ("uniform", "optimal"):
                        rows.append((model, padding, "exact", schedule, k, 0.98 * value, np.nan, np.nan, 0))
                    rows.append((model, padding, "sampled", schedule, k, 1.02 * value, 0.95 * value, 1.1 * value, 2000))
            rows.append((model, padding, "bound", "uniform", k, 55.0 / k, np.nan, np.nan, 100))
            rows.append((model, padding, "regret_expected", "uniform", k, 0.8 / k, 0.7 / k, 0.9 / k, 100))
            for d, decoder in enumerate(
                () if language or not padding else ("random", "low_confidence", "entropy", "optimal")
            ):
                regret, perplexity = 2.0 / (k + d), np.exp(3.2 + 2.5 / (k + d))
                rows.append((model, padding, "regret", decoder, k, regret, 0.9 * regret, 1.1 * regret, 100))
                rows.append(
                    (model, padding, "perplexity", decoder, k, perplexity, 0.9 * perplexity, 1.1 * perplexity, 100)
                )
    return pd.DataFrame(rows, columns=price_of_parallelism.COLUMNS)


def smooth_table(models=("docs-base", "docs-instruct"), language=True) -> pd.DataFrame:
    """Curves above and below the diagonal; under the smooth schedule all are near it."""
    rows, noise = [], np.linspace(0, 1, 21)
    series = [("grammar", "grammar", True, name) for name in ("mask", "uniform", "gaussian")] if language else []
    series += [(model, "docs", padding, "mask") for model in models for padding in (False, True)]
    for (i, key), (measure, bent) in itertools.product(enumerate(series), (("tokens", 1.0), ("sentence", 0.6))):
        power = (1.5, 2.4, 0.5, 1.8, 2.2)[i % 5] * bent
        for t in noise:
            kept, smooth = (1 - t) ** power, 1 - t + 0.012 * np.sin(6 * t)
            rows.append((*key, measure, "kept", t, kept, kept - 0.02, kept + 0.02, 400))
            late = 1 - (1 - t) ** (1 / power)
            rows.append((*key, measure, "schedule", t, late, late - 0.02, late + 0.02, 400))
            rows.append((*key, measure, "smooth_kept", t, smooth, smooth - 0.02, smooth + 0.02, 200))
        area = abs(0.5 - 1 / (1 + power))
        rows.append((*key, measure, "area", np.nan, area, area - 0.008, area + 0.008, 400))
    return pd.DataFrame(rows, columns=smooth_corruption.COLUMNS)


def toy_table(models=("oracle", "micro"), languages=("toy", "abab"), lost=0.03) -> pd.DataFrame:
    """An oracle's strings in closed form, but for two steps; a trained model mixes them and loses `lost` elsewhere."""
    rows = []
    for language in languages:
        words, sentences = LANGUAGES[language]
        strings = [" ".join(string) for string in itertools.product(*(place.split() for place in words))]
        seen = np.array([string in sentences for string in strings])
        said, uniform = seen / seen.sum(), np.full(len(strings), 1 / len(strings))
        half = said if language == "toy" else (said + uniform) / 2
        rows += [(language, "data", "data", *row) for row in zip(strings, said, seen, strict=True)]
        for i, model in enumerate(models):
            for decoding, exact in zip(DECODINGS, (uniform, half, said), strict=True):
                tilt = np.linspace(1 - 0.2 * i, 1 + 0.2 * i, len(strings))
                p = exact * tilt / (exact * tilt).sum() * (1 - i * lost) + (uniform - exact) * i * 0.05
                rows += [(language, model, decoding, *row) for row in zip(strings, p, seen, strict=True)]
    return pd.DataFrame(rows, columns=marginal_trap_toy.COLUMNS)


def steps_table(
    models=("oracle", "micro"),
    decoders=DECODERS[:2],
    temperatures=(0.0, 0.5, 1.0),
    steps=(1, 2, 3, 4, 6, 12),
    samples=2000,
) -> pd.DataFrame:
    """A language of twelve tokens: the price falls with K, confident orders and cold tokens cost variety."""
    curve = 3.4 * np.exp(-np.arange(12) / 2.2)
    draw, rows = np.random.default_rng(0), []
    for (m, model), (d, decoder), temperature, k in itertools.product(
        enumerate(models), enumerate(decoders), temperatures, steps
    ):
        missing = (1 - (np.log(k) / np.log(12)) ** (1 + 0.4 * d)) * (0.35 + 0.63 * temperature) * 0.97**d
        invalid = min(1.0, missing + 0.05 * m)
        kinds = invalid * np.array([0.5, 0.35, 0.3, 0.55, 0.15, 0.3, 0.7])
        distinct = 0.02 + (0.2 + 0.75 * temperature) * (0.35 + 0.65 * invalid) * 0.9**d
        shares = dict(
            zip(["invalid", "distinct", *marginal_trap_steps.KINDS], [invalid, distinct, *kinds], strict=True)
        )
        for statistic, share in shares.items():
            width = 1.96 * np.sqrt(share * (1 - share) / samples)
            value = float(np.clip(share + width / 3 * draw.standard_normal(), 0, 1))
            low, high = max(value - width, 0), min(value + width, 1)
            rows.append((model, decoder, temperature, k, statistic, value, low, high, samples))
    for (m, model), k in itertools.product(enumerate(models), steps):
        sizes = [12 // k + (i >= k - 12 % k) for i in range(k)]
        exact = expected_kl(curve, sizes) + 0.4 * m
        rows.append((model, "random", 1.0, k, "expected_kl", exact, np.nan, np.nan, 0))
        sampled = exact * (1 + 0.02 * draw.standard_normal())
        rows.append((model, "random", 1.0, k, "sampled_kl", sampled, sampled - 0.3, sampled + 0.3, samples))
        if k <= 3 and not m:
            rows.append((model, "random", 1.0, k, "own_kl", exact * (0.8 if k > 1 else 1), np.nan, np.nan, 0))
    return pd.DataFrame(rows, columns=marginal_trap_steps.COLUMNS)


def incoherence_table(models=("docs-base",), decoders=DECODERS[:2], steps=(1, 2, 4, 8, 16, 32, 64, 128), answers=100):
    """Answers that repeat themselves when decoded at once; confident orders end early and say little."""
    references = {
        "regret": np.nan,
        "disowned": 0.06,
        "adjacent_duplicates": 0.004,
        "seq_rep_4": 0.02,
        "distinct_2": 0.93,
        "unseen_bigrams": 0.18,
        "perplexity": 32.0,
        "judge_entropy": 3.6,
        "empty": 0.0,
    }
    rows = []
    for (m, model), (d, decoder), k in itertools.product(enumerate(models), enumerate(decoders), steps):
        rush = 1 / k ** (0.45 + 0.1 * d)
        values = {
            "regret": 2.2 * rush - 0.1,
            "disowned": 0.08 + 0.6 * rush,
            "adjacent_duplicates": 0.01 + 0.25 * rush + 0.02 * d,
            "seq_rep_4": 0.04 + 0.09 * d + 0.3 * rush,
            "distinct_2": 0.9 - 0.1 * d - 0.4 * rush,
            "unseen_bigrams": 0.2 + 0.55 * rush,
            "perplexity": np.exp(3.2 - 0.5 * d + 3 * rush),
            "judge_entropy": 3.5 - 0.4 * d - 0.5 * rush,
            "empty": 0.02 + 0.1 * d * (1 - rush),
        }
        for statistic, value in values.items():
            value = value * (1 + 0.1 * m)
            reference = references[statistic]
            spread = (0.92 * value, 1.08 * value, reference, 0.95 * reference, 1.05 * reference)
            rows.append((model, decoder, k, statistic, value, *spread, answers))
    return pd.DataFrame(rows, columns=incoherence.COLUMNS)


def without(table: pd.DataFrame, share: float = 0.3) -> pd.DataFrame:
    """The table with rows missing and, in those left, values missing and infinite."""
    draw = np.random.default_rng(1)
    table = table[draw.random(len(table)) > share].copy()
    for name in table.columns.intersection(["value", "low", "high", "probability", "reference", "reference_low"]):
        table[name] = table[name].mask(draw.random(len(table)) < share / 2)
        table[name] = table[name].mask(draw.random(len(table)) < share / 10, np.inf)
    return table


def named_oddly(table: pd.DataFrame) -> pd.DataFrame:
    """Names of models, decoders, strings and so on that are long, unprintable or look like formulas."""
    columns = ["model", "dataset", "source", "schedule", "decoder", "decoding", "string", "language"]
    for name in table.columns.intersection(columns):
        table[name] = [value if value in ("data", "grammar") else f"{value} {ODD}" for value in table[name]]
    return table


TABLES = {
    "top3": top3_table,
    "frequency_collapse": collapse_table,
    "information_decay": decay_table,
    "price_of_parallelism": price_table,
    "smooth_corruption": smooth_table,
    "incoherence": incoherence_table,
    "marginal_trap_steps": steps_table,
    "marginal_trap_toy": toy_table,
}
