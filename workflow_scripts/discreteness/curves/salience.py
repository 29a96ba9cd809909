"""Which words carry the information: content words or function words masked, at the same ratio, in the same answer."""

import numpy as np
import pandas as pd

from discreteness import token_classes
from discreteness.curves.estimate import References, State
from discreteness.denoisers.base import Denoiser
from discreteness.errors import InputError
from discreteness.randomness import key
from discreteness.statistics import bootstrap_mean

PAIR = ("content", "function")


def salience_states(
    denoiser: Denoiser, references: References, seed: int, ratio: float = 0.15, replicates: int = 1
) -> list[State]:
    """For every answer n of its content tokens masked, and n of its function tokens, everything else visible.

    n is `ratio` times the answer's length, rounded, at least 1 and at most the rarer class; tokens are drawn by key. An
    answer without one of the classes is left out. `estimate.score` gives the records; a state's class is that
    of its masked tokens. Raises InputError for a ratio outside (0, 1] and where no answer has both classes.
    """
    if not 0 < ratio <= 1:
        raise InputError(f"salience: ratio = {ratio} (expected more than 0, at most 1)")
    _, classes = token_classes.vocabulary(denoiser)
    classes = np.array(classes)
    states = []
    for index, (prompt_id, answer) in enumerate(zip(references.prompt_ids, references.answers, strict=True)):
        places = {name: np.flatnonzero(classes[answer] == name) for name in PAIR}
        count = min(max(1, round(ratio * len(answer))), *map(len, places.values()))
        if not count:
            continue
        for name, replicate in ((name, replicate) for name in PAIR for replicate in range(replicates)):
            generator = np.random.default_rng(key(seed, "salience", prompt_id, replicate, name))
            visible = np.ones(len(answer), dtype=bool)
            visible[generator.permutation(places[name])[:count]] = False
            states.append(State(index, replicate, visible, 1))
    if not states:
        raise InputError("salience: no answer has a content word and a function word")
    return states


def salience_table(records: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What hiding content words costs, what function words cost, and the paired difference within answers.

    Columns statistic (`mean_nll` of a masked token, `total_nll` of the answer, mean `recoverable` information of a
    masked token), token_class (content, function, difference), value, low, high (95 %, bootstrap over prompts),
    prompts, tokens (masked per answer and class, mean); nats.
    """
    nll = -records["answer_logprob"].astype(np.float64)
    frame = records.assign(nll=nll, recoverable=-nll - records["unigram_logprob"].astype(np.float64))
    by_class = frame.groupby(["prompt_id", "token_class"])
    replicates = by_class["replicate"].nunique()
    numbers = {
        "mean_nll": by_class["nll"].mean(),
        "total_nll": by_class["nll"].sum() / replicates,
        "recoverable": by_class["recoverable"].mean(),
    }
    tokens = (by_class.size() / replicates).mean()
    rows = []
    for statistic, values in numbers.items():
        pair = values.unstack()[list(PAIR)].to_numpy()  # (P, 2)
        columns = np.column_stack([pair, pair[:, 0] - pair[:, 1]])
        for name, *cell in zip((*PAIR, "difference"), *bootstrap_mean(columns, seed), strict=True):
            rows.append((statistic, name, *cell, len(pair), tokens))
    return pd.DataFrame(rows, columns=["statistic", "token_class", "value", "low", "high", "prompts", "tokens"])
