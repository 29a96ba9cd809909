"""Where a decoded answer ends, and whether it is empty."""

from collections.abc import Container, Iterable, Sequence

import numpy as np

from discreteness.core import token_classes
from discreteness.denoisers.base import Denoiser


def answer_length(token_ids: Sequence[int], eos_ids: Iterable[int]) -> int:
    """Number of tokens before the first EOS; all of them where there is none. (span,) -> int.

    EOS and the tokens decoded after it do not belong to the answer.
    """
    ends = np.flatnonzero(np.isin(np.asarray(token_ids, dtype=np.int64), list(eos_ids)))
    return int(ends[0]) if len(ends) else len(token_ids)


def is_empty(token_ids: Sequence[int], eos_ids: Iterable[int], ignored: Container[int] = frozenset()) -> bool:
    """True where no token comes before the first EOS, `ignored` tokens apart (see `invisible_ids`)."""
    return all(id_ in ignored for id_ in token_ids[: answer_length(token_ids, eos_ids)])


def invisible_ids(denoiser: Denoiser) -> frozenset[int]:
    """Ids of tokens without visible text: special tokens, and tokens of white space only."""
    texts, _ = token_classes.vocabulary(denoiser)
    space = (id_ for id_, text in enumerate(texts) if not text.strip())
    return frozenset(denoiser.special_ids).union(space)
