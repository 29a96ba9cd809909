"""What probing, curves and decoding ask of a model, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch


class Denoiser(ABC):
    """`log p(x_i | corrupted state)` at the positions asked for.

    Attributes
    ----------
    corruption: `mask`, `uniform`, `gaussian` or `causal`: the kind of state that is denoised.
    mask_id: id of the mask token (None where the corruption has none).
    eos_ids: ids that end or pad an answer; the first one is used as padding.
    special_ids: ids that are not text (control, padding, mask and unused head rows).
    vocab_size: V, the width of `log_probs`.
    context_length: longest sequence in tokens.
    tokenizer: the model's own transformers tokenizer (None for a mock).
    device: torch device that predictions come from.
    canvas_length: tokens denoised at once where that is fixed (None: any number).
    canvases: random states that a single pass is averaged over (1 where the corrupted state is not random).
    """

    corruption: str
    mask_id: int | None
    eos_ids: tuple[int, ...]
    special_ids: tuple[int, ...]
    vocab_size: int
    context_length: int
    tokenizer: Any
    device: torch.device
    canvas_length: int | None = None
    canvases: int = 1

    @abstractmethod
    def log_probs(
        self, token_ids: torch.Tensor, attention_mask: torch.Tensor | None, queries: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities at the queried positions only.

        token_ids (B, L) int64; attention_mask (B, L) bool or None (True = real token); queries (Q, 2) int64 of
        (row, position). Returns (Q, V) float32, natural logarithm. Raises FloatingPointError for non-finite logits.
        """

    def encode_prompt(self, prompt: str) -> list[int]:
        """Token ids of a user's message in the model's chat template, ready for the answer to follow.

        The rendered template holds its own special tokens, so none are added. A tokenizer without a chat template (a
        base model) gets the bare text.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            return self.tokenizer(prompt).input_ids
        message = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def encode_answer(self, answer: str) -> list[int]:
        """Token ids of an answer's text, without special tokens."""
        return self.tokenizer(answer, add_special_tokens=False).input_ids


def distinct(ids: Iterable[int | None]) -> tuple[int, ...]:
    """The ids that are there, each once, in order."""
    return tuple(dict.fromkeys(id_ for id_ in ids if id_ is not None))


def special_tokens(tokenizer: Any, vocab_size: int, ids: Iterable[int | None]) -> tuple[int, ...]:
    """Ids that are not text: the tokenizer's control tokens, `ids`, and rows of the head without a token."""
    added = (id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special)
    unused = range(len(tokenizer), vocab_size)
    return tuple(sorted(distinct([*tokenizer.all_special_ids, *added, *ids, *unused])))


def check_finite(logits: torch.Tensor, queries: torch.Tensor) -> None:
    """Raise FloatingPointError naming the first query (row, position) whose logits (Q, V) are not all finite."""
    if torch.isfinite(logits.sum(-1)).all():  # one pass, and finite only if every term is
        return
    bad = ~torch.isfinite(logits).all(-1)
    if bad.any():
        row, position = queries[int(bad.nonzero()[0])].tolist()
        error = FloatingPointError(f"non-finite logits at row {row}, position {position}")
        error.row = row
        raise error
