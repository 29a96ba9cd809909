"""Where a decoded answer ends, and whether it is empty."""

from collections.abc import Iterable, Sequence

import numpy as np


def answer_length(token_ids: Sequence[int], eos_ids: Iterable[int]) -> int:
    """Number of tokens before the first EOS; all of them where there is none. (span,) -> int.

    EOS and the tokens decoded after it do not belong to the answer.
    """
    ends = np.flatnonzero(np.isin(np.asarray(token_ids, dtype=np.int64), list(eos_ids)))
    return int(ends[0]) if len(ends) else len(token_ids)
