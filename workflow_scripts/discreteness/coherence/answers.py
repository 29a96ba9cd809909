"""Where a decoded answer ends, and whether there is one."""

from collections.abc import Container, Iterable, Sequence

import numpy as np

from discreteness.core import token_classes
from discreteness.denoisers.base import Denoiser


def answer_length(token_ids: Sequence[int], eos_ids: Iterable[int]) -> int:
    """Number of tokens before the first that ends an answer; all of them where none does. (span,) -> int.

    The end token and whatever was decoded behind it are not the answer.
    """
    ends = np.flatnonzero(np.isin(np.asarray(token_ids, dtype=np.int64), list(eos_ids)))
    return int(ends[0]) if len(ends) else len(token_ids)


def is_empty(token_ids: Sequence[int], eos_ids: Iterable[int], blank: Container[int] = frozenset()) -> bool:
    """True when nothing stands before the first end token, or nothing but `blank` tokens (see `blank_ids`)."""
    return all(id_ in blank for id_ in token_ids[: answer_length(token_ids, eos_ids)])


def blank_ids(denoiser: Denoiser) -> frozenset[int]:
    """Ids that a reader does not see: special tokens and tokens of nothing but white space."""
    texts, _ = token_classes.vocabulary(denoiser)
    space = (id_ for id_, text in enumerate(texts) if not text.strip())
    return frozenset(denoiser.special_ids).union(space)
