"""What a loaded checkpoint must be able to do, tried once before any work, whatever its family.

A tokenizer that knows no word, a template that loses the prompt or an output head that is read at the wrong place end
in numbers that look like results. Each is one line here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from discreteness.core.errors import InputError
from discreteness.denoisers.base import TEMPLATE_DATE, Denoiser, asks_for_date
from discreteness.denoisers.families import CORRUPTIONS

SENTENCE = "In 1 of 2 trials the cat runs fast, and a dog sleeps."
SMALL_VOCABULARY = 1000  # entries up to which a tokenizer may know the words of a small language only
TOKENS = 4  # of the sequence that predictions are tried on
TOLERANCE = 1e-3  # between log-probabilities of the same state, nats
COARSE = 1.0  # the same between batches of different shape, where weights are not float32


def check(denoiser: Denoiser, folder: Path) -> None:
    """Raise InputError, one line, unless tokenizer, template, ids and predictions are what `Denoiser` promises.

    Tried are: ids in range; a plain English sentence spelt and read back; the prompt's words in its rendering, which is
    the same twice; four tokens predicted, of the promised shape and normalised, equal to the class called plainly where
    there is one, with later tokens seen by a model that denoises masks and not by a causal one. Adds to
    `denoiser.notes` what a reader should know.
    """
    notes = [*denoiser.notes, *_check_ids(denoiser, folder), *_check_spelling(denoiser, folder)]
    notes += _check_template(denoiser, folder)
    with _one_line(denoiser, folder):
        _check_predictions(denoiser, folder)
    denoiser.notes = tuple(notes)


def _check_ids(denoiser: Denoiser, folder: Path) -> list[str]:
    size = denoiser.vocab_size
    masks = CORRUPTIONS[denoiser.corruption].masks
    for name, ids in (("mask_id", (denoiser.mask_id,) if masks else ()), ("EOS", denoiser.eos_ids)):
        for id_ in ids:
            if not isinstance(id_, int) or isinstance(id_, bool) or not 0 <= id_ < size:
                raise InputError(f"{folder}: {name} = {id_!r} is not an id of the output head (0 to {size - 1})")
    if not denoiser.eos_ids:
        raise InputError(f"{folder}: neither an EOS nor a padding token that the output head has; answers end in one")
    if denoiser.mask_id in denoiser.eos_ids:
        raise InputError(f"{folder}: mask_id = {denoiser.mask_id} is also an EOS, so that no answer could end")
    if len(denoiser.tokenizer) > size:
        return [f"the tokenizer has {len(denoiser.tokenizer)} tokens, of which the output head predicts {size}"]
    return []


def _check_spelling(denoiser: Denoiser, folder: Path) -> list[str]:
    """The sentence is spelt and comes back, but for words that a small word-level vocabulary does not have."""
    tokenizer, ids = denoiser.tokenizer, _spelt(denoiser, SENTENCE)
    unknown = ids.count(tokenizer.unk_token_id)
    back = tokenizer.decode(ids)
    where = f"{folder}: the tokenizer cannot spell {SENTENCE!r}"
    if ids and not unknown and _letters(back) != _letters(SENTENCE):
        raise InputError(f"{where}: it comes back as {back[:80]!r}")
    if ids and 2 * unknown <= len(ids):
        return []
    fault = f"{unknown} of {len(ids)} tokens are unknown" if ids else "it has no tokens"
    if len(tokenizer) > SMALL_VOCABULARY or not _spells_own_words(denoiser):
        raise InputError(f"{where}: {fault}")
    return [f"the tokenizer cannot spell a plain English sentence: {fault}"]


def _letters(text: str) -> str:
    return "".join(text.split()).casefold()


def _spells_own_words(denoiser: Denoiser) -> bool:
    """Whether a word of the vocabulary is encoded as itself."""
    special = set(denoiser.special_ids)
    ordinary = [id_ for id_ in range(len(denoiser.tokenizer)) if id_ not in special | {denoiser.tokenizer.unk_token_id}]
    return any(_spelt(denoiser, denoiser.tokenizer.decode([id_])) == [id_] for id_ in ordinary[:20])


def _spelt(denoiser: Denoiser, text: str) -> list[int]:
    """The text's tokens; none where the tokenizer refuses it, as one of whole words does without a token for others."""
    try:
        return denoiser.encode_answer(text)
    except Exception:  # the tokenizers library raises nothing more special
        return []


def _check_template(denoiser: Denoiser, folder: Path) -> list[str]:
    template = getattr(denoiser.tokenizer, "chat_template", None)
    if not template:
        return []
    try:
        same = denoiser.render_prompt(SENTENCE) == denoiser.render_prompt(SENTENCE)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    if not same:
        raise InputError(f"{folder}: chat template: renders the same message differently each time")
    if asks_for_date(template):
        return [f"the chat template asks for the date and is told {TEMPLATE_DATE:%Y-%m-%d}"]
    return []


@contextmanager
def _one_line(denoiser: Denoiser, folder: Path) -> Iterator[None]:
    """Whatever a model raises on a plain input, as one line."""
    try:
        yield
    except FloatingPointError:
        return  # where the numbers are not finite, the job that meets them names the prompt
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        name = type(getattr(denoiser, "model", getattr(denoiser, "backbone", denoiser))).__name__
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"{folder}: {name} cannot be used in this way ({type(error).__name__}: {reason})") from None


def _check_predictions(denoiser: Denoiser, folder: Path) -> None:
    ids, queries = _trial(denoiser)
    log_p = denoiser.log_probs(ids, None, queries)
    promised = (len(queries), denoiser.vocab_size)
    if tuple(log_p.shape) != promised or log_p.dtype != torch.float32:
        raise InputError(f"{folder}: predictions have shape {tuple(log_p.shape)} in {log_p.dtype}, expected {promised}")
    if (log_p.exp().sum(-1) - 1).abs().max() > TOLERANCE:
        raise InputError(f"{folder}: predicted probabilities do not add up to 1")
    plain = denoiser.plain_log_probs(ids)
    if plain is not None:
        expected = plain.to(log_p.device)[queries[:, 0], queries[:, 1]]
        if expected.shape != log_p.shape or _difference(log_p, expected) > TOLERANCE:
            raise InputError(
                f"{folder}: {type(denoiser.model).__name__} gives other predictions when it is called as a whole; its "
                "output head cannot be read at single positions"
            )
    if denoiser.corruption not in ("mask", "causal") or ids.shape[1] < 3:
        return
    _check_padding(denoiser, folder, ids, queries, log_p)
    early = queries[queries[:, 1] == int(queries[:, 1].min())]
    changed = ids.clone()
    changed[:, -1] = _other(denoiser, int(ids[0, -1]))
    seen = _difference(denoiser.log_probs(ids, None, early), denoiser.log_probs(changed, None, early))
    if denoiser.corruption == "causal" and seen > TOLERANCE:
        raise InputError(f"{folder}: its predictions see the tokens that follow; it is no autoregressive model")
    if denoiser.corruption == "mask" and seen == 0:
        raise InputError(f"{folder}: its predictions do not see the tokens that follow; it is no bidirectional model")


def _check_padding(denoiser: Denoiser, folder: Path, ids, queries, log_p) -> None:
    """Raise InputError where a sequence's predictions change when it is padded beside a longer one."""
    width = min(2 * ids.shape[1], denoiser.context_length)
    longer = ids.repeat(1, 2)[:, :width]
    padded = torch.full_like(longer, denoiser.eos_ids[0])
    padded[:, : ids.shape[1]] = ids
    real = torch.stack([torch.arange(width) < ids.shape[1], torch.ones(width, dtype=torch.bool)])
    beside = denoiser.log_probs(torch.cat([padded, longer]), real, queries)
    exact = next((part.dtype for part in _weights(denoiser)), torch.float32) == torch.float32
    if _difference(log_p, beside) > (TOLERANCE if exact else COARSE):
        raise InputError(f"{folder}: its predictions change with padding, so that they would depend on the batch")


def _weights(denoiser: Denoiser):
    return getattr(denoiser, "model", getattr(denoiser, "backbone", torch.nn.Identity())).parameters()


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference of two tables of log-probabilities, nats, where neither is far below the largest."""
    shown = torch.maximum(one, other) > -15
    return float((one - other).abs()[shown].max())


def _trial(denoiser: Denoiser) -> tuple[torch.Tensor, torch.Tensor]:
    """A short sequence (1, L) and the queries (Q, 2), Q ≠ L, that predictions are tried at."""
    text = [id_ for id_ in _spelt(denoiser, SENTENCE) if id_ < denoiser.vocab_size] or [_other(denoiser, -1)]
    length = min(TOKENS, denoiser.context_length)
    ids = (text * TOKENS)[:length]
    if denoiser.canvas_length:
        ids = ids[:2] + (text * denoiser.canvas_length)[: denoiser.canvas_length]
        return torch.tensor([ids]), torch.tensor([[0, 2]])
    return torch.tensor([ids]), torch.tensor([[0, position] for position in range(1, length)])


def _other(denoiser: Denoiser, id_: int) -> int:
    """An ordinary token that is not `id_`."""
    special = {*denoiser.special_ids, id_}
    return next((other for other in range(denoiser.vocab_size) if other not in special), 0)
