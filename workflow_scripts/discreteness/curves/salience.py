"""Which words carry the information: content words or function words masked, at the same ratio, in the same answer."""

import numpy as np

from discreteness.core import token_classes
from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.curves.estimate import MaskedAnswer, References
from discreteness.curves.views import PAIR
from discreteness.denoisers.base import Denoiser


def mask_for_salience(
    denoiser: Denoiser, references: References, seed: int, ratio: float = 0.15, replicates: int = 1
) -> list[MaskedAnswer]:
    """For every answer n of its content tokens masked, and n of its function tokens, everything else visible.

    n is `ratio` times the answer's length, rounded, at least 1 and at most the rarer class; tokens are drawn by key. An
    answer without one of the classes is left out. `estimate.score` gives the records; the class of a masked answer is
    that of its masked tokens. Raises InputError for a ratio outside (0, 1] and where no answer has both classes.
    """
    if not 0 < ratio <= 1:
        raise InputError(f"salience: ratio = {ratio} (expected more than 0, at most 1)")
    _, classes = token_classes.vocabulary(denoiser)
    classes = np.array(classes)
    masked_answers = []
    for index, (prompt_id, answer) in enumerate(zip(references.prompt_ids, references.answers, strict=True)):
        places = {name: np.flatnonzero(classes[answer] == name) for name in PAIR}
        count = min(max(1, round(ratio * len(answer))), *map(len, places.values()))
        if not count:
            continue
        for name, replicate in ((name, replicate) for name in PAIR for replicate in range(replicates)):
            generator = np.random.default_rng(key(seed, "salience", prompt_id, replicate, name))
            visible = np.ones(len(answer), dtype=bool)
            visible[generator.permutation(places[name])[:count]] = False
            masked_answers.append(MaskedAnswer(index, replicate, visible, weight=1))
    if not masked_answers:
        raise InputError("salience: no answer has a content word and a function word")
    return masked_answers
