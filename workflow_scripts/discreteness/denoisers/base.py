"""What probing, curves and decoding ask of a model, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

import torch

from discreteness.core.errors import InputError

# What a chat template is told that asks for the date, so that predictions do not change with it
TEMPLATE_DATE = datetime(2025, 1, 1)


class FixedDate(datetime):
    """A clock that stands still at TEMPLATE_DATE."""

    @classmethod
    def now(cls, tz=None) -> datetime:
        """TEMPLATE_DATE, whatever the time."""
        return TEMPLATE_DATE


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
    notes: what was assumed or fixed when the model was loaded, a sentence each; for logs and provenance.
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
    notes: tuple[str, ...] = ()

    @abstractmethod
    def log_probs(
        self, token_ids: torch.Tensor, attention_mask: torch.Tensor | None, queries: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities at the queried positions only.

        token_ids (B, L) int64; attention_mask (B, L) bool or None (True = real token); queries (Q, 2) int64 of
        (row, position). Returns (Q, V) float32, natural logarithm. Raises FloatingPointError for non-finite logits.
        """

    def plain_log_probs(self, token_ids: torch.Tensor) -> torch.Tensor | None:
        """Log-probabilities (B, L, V) at every position, without any short cut of `log_probs`; None where it has none.

        What `log_probs` is compared with when a model is loaded; positions that nothing predicts hold anything.
        """
        return None

    def encode_prompt(self, prompt: str) -> list[int]:
        """Token ids of a user's message in the model's chat template, ready for the answer to follow.

        The rendered template holds its own special tokens, so none are added. A tokenizer without a chat template (a
        base model) gets the bare text; an EOS that it appends is taken off for a causal model, which would go on with
        another document. The text of a control token in a prompt is text.
        """
        spelt = self._holds_control_token(prompt)
        if getattr(self.tokenizer, "chat_template", None):
            rendered = self.render_prompt(prompt)
            if spelt:  # the template's control tokens, and none of the message's own
                return self._in_template(prompt, tokenize=True, sanitize_control_tokens=True, return_dict=False)
            return self._tokens(rendered, add_special_tokens=False)
        ids = list(self._tokens(prompt, split_special_tokens=True) if spelt else self._tokens(prompt))
        while self.corruption == "causal" and len(ids) > 1 and ids[-1] in self.eos_ids:
            ids.pop()
        return ids

    def _tokens(self, text: str, **settings: bool) -> list[int]:
        return self.tokenizer(text, **settings).input_ids

    def _holds_control_token(self, text: str) -> bool:
        return any(token in text for token in getattr(self.tokenizer, "all_special_tokens", ()))

    def _in_template(self, prompt: str, **settings: bool) -> Any:
        """A user's message in the chat template, as text or token ids; InputError for a template that fails."""
        message = [{"role": "user", "content": prompt}]
        try:
            with _fixed_date(self.tokenizer.chat_template):
                return self.tokenizer.apply_chat_template(message, add_generation_prompt=True, **settings)
        except Exception as error:  # whatever a program in another language raises
            reason = " ".join(str(error).split())[:150]
            raise InputError(f"chat template: cannot render a user's message ({reason})") from None

    def render_prompt(self, prompt: str) -> str:
        """A user's message in the model's chat template, as text. A template that asks for the date gets TEMPLATE_DATE.

        Raises InputError for a template that fails and for one that loses the prompt.
        """
        text = self._in_template(prompt, tokenize=False)
        if " ".join(prompt.split()) not in " ".join(text.split()):
            raise InputError(
                f"chat template: the prompt {prompt[:60]!r} does not appear in its own rendering {text[:60]!r}"
            )
        return text

    def encode_answer(self, answer: str) -> list[int]:
        """Token ids of an answer's text, without special tokens; the text of a control token is text."""
        spelt = {"split_special_tokens": True} if self._holds_control_token(answer) else {}
        return self._tokens(answer, add_special_tokens=False, **spelt)


def check_ids(denoiser: Denoiser, where: str, token_ids: Sequence[int]) -> None:
    """Raise InputError, beginning with `where`, for token ids that the output head does not have."""
    if len(token_ids) and not 0 <= min(token_ids) <= max(token_ids) < denoiser.vocab_size:
        raise InputError(f"{where}: holds token ids outside the model's {denoiser.vocab_size} tokens")


def check_context(denoiser: Denoiser, where: str, prompt: Sequence[int], span: int, hint: str = "") -> None:
    """Raise InputError, beginning with `where`, for a prompt that exceeds the context with `span` tokens after it."""
    if len(prompt) + span > denoiser.context_length:
        raise InputError(
            f"{where}: {len(prompt)} tokens and a span of {span} exceed the model's context of "
            f"{denoiser.context_length} tokens{hint}"
        )


def asks_for_date(template: object) -> bool:
    """Whether a chat template (or one of several) asks for the date."""
    return "strftime_now" in str(template)


@contextmanager
def _fixed_date(template: object) -> Iterator[None]:
    """Within the block, what transformers tells a template of the date is TEMPLATE_DATE."""
    if not asks_for_date(template):
        yield
        return
    from transformers.utils import chat_template_utils

    with mock.patch.object(chat_template_utils, "datetime", FixedDate):
        yield


def distinct(ids: Iterable[object]) -> tuple[int, ...]:
    """The ids that are there, each once, in order; an item may be an id, a list of some, or None.

    Raises InputError for anything else.
    """
    flat = [id_ for item in ids for id_ in (item if isinstance(item, (list, tuple)) else [item]) if id_ is not None]
    for id_ in flat:
        if not isinstance(id_, int) or isinstance(id_, bool):
            raise InputError(f"token id: {id_!r} (expected a whole number, a list of them, or null)")
    return tuple(dict.fromkeys(flat))


def special_tokens(tokenizer: Any, vocab_size: int, ids: Iterable[object]) -> tuple[int, ...]:
    """Ids below V that are not text: the tokenizer's control tokens, `ids`, and rows of the head without a token."""
    added = (id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special)
    unused = set(range(vocab_size)) - set(tokenizer.get_vocab().values())
    return tuple(sorted(within_head(vocab_size, *tokenizer.all_special_ids, *added, *ids, *unused)))


def within_head(vocab_size: int, *ids: object) -> tuple[int, ...]:
    """Those of a tokenizer's ids that the output head has: a token added after the last of its V is never predicted."""
    return tuple(id_ for id_ in distinct(ids) if 0 <= id_ < vocab_size)


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
