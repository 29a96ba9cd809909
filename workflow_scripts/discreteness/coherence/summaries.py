"""From tokens and answers to the numbers of a table: means by step, differences from the references, examples.

Intervals are bootstraps over prompts: NaN where fewer than `statistics.FEWEST` prompts have a value. A mean of no
values is NaN.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from discreteness.core.statistics import bootstrap_ratio

DISOWNED_BELOW = 0.01  # leave-one-out probability
HIDDEN = " _"


def mean_regret(table: pd.DataFrame, seed: int) -> dict[str, float]:
    """Mean regret per token over all answers: value, low, high (95 %, over prompts), prompts."""
    table = table.dropna(subset="regret")
    return _pooled(table, table["regret"], table["weight"], seed)


def disowned_share(table: pd.DataFrame, seed: int, below: float = DISOWNED_BELOW) -> dict[str, float]:
    """Share of tokens whose leave-one-out probability is less than `below`: value, low, high, prompts.

    table: of `disowned`; tokens of all answers count alike, so a long answer counts more than a short one.
    """
    is_disowned = (table["leave_one_out_logprob"].astype(float) < np.log(below)).astype(float)
    return _pooled(table, is_disowned, table["weight"], seed)


def perplexity(table: pd.DataFrame, prompt_ids: Sequence[str], seed: int) -> dict[str, float]:
    """Perplexity of all answers together, exp(Σ nll / Σ tokens): value, low, high, prompts; `entropy` beside it.

    table: of `generative_perplexity`, row by row for `prompt_ids`. entropy: mean unigram entropy within an answer,
    nats. `empty`: number of answers without a token, which count in neither.
    """
    table = table.assign(prompt_id=list(prompt_ids))
    judged = table[table["judge_tokens"] > 0]
    pooled = _pooled(judged, judged["judge_nll"] / judged["judge_tokens"], judged["judge_tokens"], seed)
    for name in ("value", "low", "high"):
        pooled[name] = float(np.exp(pooled[name]))
    return {**pooled, "entropy": float(judged["judge_entropy"].mean()), "empty": len(table) - len(judged)}


def _pooled(table: pd.DataFrame, values: pd.Series, weights: pd.Series, seed: int) -> dict[str, float]:
    """Weighted mean of all rows with its interval over prompts; NaN without rows."""
    by = table["prompt_id"]
    total, weight = ((values * weights).groupby(by).sum(), weights.groupby(by).sum())
    value, low, high = bootstrap_ratio(total.to_numpy(dtype=float), weight.to_numpy(dtype=float), seed)
    return {"value": float(value), "low": float(low), "high": float(high), "prompts": len(total)}


def worst_combinations(
    table: pd.DataFrame, decodings: pd.DataFrame, texts: Sequence[str], k: int, context: int = 8
) -> pd.DataFrame:
    """The k tokens of largest regret among those revealed together, at most one per prompt; ties by prompt, position.

    table: of `regret`, from `decodings`. texts: text of each token of the vocabulary (`token_classes.vocabulary`).
    Returns prompt_id, sample, position, step, step_size, regret, token, and `text`: the answer around the token, at
    most `context` positions on either side, as it was after the step: the token in double brackets, the other tokens
    of the step in single ones, a masked token as an underscore.
    """
    together = table[table["step_size"] > 1].dropna(subset="regret")
    order = together.sort_values(["regret", "prompt_id", "sample", "position"], ascending=[False, True, True, True])
    worst = order.drop_duplicates("prompt_id").head(k)
    answers = decodings.set_index(["prompt_id", "sample"])
    rows = []
    for token in worst.itertuples(index=False):
        answer = answers.loc[(token.prompt_id, token.sample)]
        excerpt = _excerpt(answer["token_ids"], answer["revealed_at"], token.position, texts=texts, context=context)
        rows.append((texts[answer["token_ids"][token.position]], excerpt))
    columns = ["prompt_id", "sample", "position", "step", "step_size", "regret"]
    return worst[columns].assign(token=[row[0] for row in rows], text=[row[1] for row in rows]).reset_index(drop=True)


def _excerpt(token_ids, revealed_at, position: int, texts: Sequence[str], context: int) -> str:
    """The text around a position, as it was after the step that revealed it; see `worst_combinations`."""
    step = revealed_at[position]
    pieces = []
    for i in range(max(0, position - context), min(len(token_ids), position + context + 1)):
        text = texts[token_ids[i]].replace("\n", "\\n")
        space = " " * (len(text) - len(text.lstrip(" ")))
        if revealed_at[i] > step:
            pieces.append(HIDDEN)
        elif i == position:
            pieces.append(f"{space}[[{text[len(space) :]}]]")
        elif revealed_at[i] == step:
            pieces.append(f"{space}[{text[len(space) :]}]")
        else:
            pieces.append(text)
    return "".join(pieces).strip()
