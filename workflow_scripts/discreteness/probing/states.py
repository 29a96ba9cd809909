"""The corrupted states a model is shown when nothing of an answer is known yet, by its kind of corruption."""

import torch

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.denoisers.base import Denoiser


def blank(
    denoiser: Denoiser, prompt: list[int], span: int, answer: list[int], replicate: int, where: tuple
) -> list[int]:
    """Token ids of a prompt and a fully corrupted answer of `span` tokens behind it.

    * `mask`: `span` mask tokens.
    * `uniform`: random tokens of the whole vocabulary, one draw for each `replicate`; as many as the model's canvas
      has, of which the first `span` are looked at.
    * `causal`: an autoregressive model's state is a prefix; it is shown the reference `answer`, of which a prediction
      sees what precedes it.

    where: what the random draw is keyed by (seed, purpose, prompt_id). Raises InputError where the span exceeds the
    model's canvas.
    """
    if denoiser.corruption == "mask":
        return prompt + [denoiser.mask_id] * span
    if denoiser.corruption == "causal":
        return prompt + list(answer)
    size = denoiser.canvas_length or span
    if span > size:
        raise InputError(f"config: probe.span = {span} exceeds the model's canvas of {size} tokens")
    generator = torch.Generator().manual_seed(key(*where, replicate))
    return prompt + torch.randint(denoiser.vocab_size, (size,), generator=generator).tolist()
