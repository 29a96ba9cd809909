"""The corrupted sequence that a model is shown when no token of an answer is known, by its kind of corruption."""

from collections.abc import Sequence

import numpy as np
import torch

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.core.scoring import State
from discreteness.denoisers.base import Denoiser


def fully_corrupted_state(
    denoiser: Denoiser, *, prompt_id: str, prompt: Sequence[int], answer: Sequence[int], seed: int, replicate: int
) -> State:
    """A prompt and as many unknown tokens after it as `answer` has, all of them queried.

    * `mask`: mask tokens.
    * `uniform`: random tokens of the whole vocabulary, keyed by seed, prompt_id and `replicate`; as many as the model's
      canvas has, of which the first are queried.
    * `causal`: an autoregressive model is shown the reference `answer`; a prediction sees only what precedes it.

    Raises InputError where the answer exceeds the model's canvas.
    """
    span = len(answer)
    if denoiser.corruption == "mask":
        unknown = [denoiser.mask_id] * span
    elif denoiser.corruption == "causal":
        unknown = list(answer)
    else:
        size = denoiser.canvas_length or span
        if span > size:
            raise InputError(f"config: probe.span = {span} exceeds the model's canvas of {size} tokens")
        generator = torch.Generator().manual_seed(key(seed, "canvas", prompt_id, replicate))
        unknown = torch.randint(denoiser.vocab_size, (size,), generator=generator).tolist()
    token_ids = np.array([*prompt, *unknown], dtype=np.int64)
    return State(prompt_id, token_ids, queries=len(prompt) + np.arange(span))
