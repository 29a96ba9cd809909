"""Training batches: masked answers after their prompts, and masked running text. Each is a function of its step."""

import math
from dataclasses import dataclass

import pandas as pd
import torch
from transformers import PreTrainedTokenizerFast

from discreteness.core.errors import InputError
from discreteness.core.randomness import key
from discreteness.training.rows import TrainingSettings


@dataclass
class Corpus:
    """Encoded training rows, prompts grouped by length so that no batch needs padding."""

    groups: list[tuple[torch.Tensor, torch.Tensor]]  # (n, P) prompts, (n, S) answers padded with EOS
    stream: torch.Tensor  # (T,) running text: all rows one after another
    mask_id: int
    eos_id: int


@dataclass
class Batch:
    """inputs (B, L): token ids the model sees; targets (B, L): those it should predict; masked (B, L) bool: scored."""

    inputs: torch.Tensor
    targets: torch.Tensor
    masked: torch.Tensor


def encode(rows: pd.DataFrame, tokenizer: PreTrainedTokenizerFast, settings: TrainingSettings, mask_id: int) -> Corpus:
    """Encode prompts in the chat template and answers padded with EOS to the longest span of any phase."""
    texts = {
        prompt: tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False)
        for prompt in set(rows["prompt"])
    }
    prompts, answers = (
        [
            encoding.ids
            for encoding in tokenizer.backend_tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        for texts in (rows["prompt"].map(texts), rows["answer"])
    )
    longest = max(phase.spans[1] for phase in settings.phases)
    eos = tokenizer.eos_token_id
    by_length: dict[int, list[tuple[list[int], list[int]]]] = {}
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(prompt) <= settings.max_prompt_length:
            padded = (answer + [eos] * longest)[:longest]
            by_length.setdefault(len(prompt), []).append((prompt, padded))
    if not by_length:
        raise InputError(f"train.max_prompt_length: no prompt has {settings.max_prompt_length} tokens or fewer")
    groups = [tuple(torch.tensor(ids) for ids in zip(*by_length[length], strict=True)) for length in sorted(by_length)]
    stream = [id_ for prompt, answer in zip(prompts, answers, strict=True) for id_ in [*prompt, *answer, eos]]
    return Corpus(groups, torch.tensor(stream), mask_id, eos)


def draw(corpus: Corpus, settings: TrainingSettings, seed: int, step: int) -> Batch:
    """The batch of a step, independent of earlier draws, so that a resumed training sees the same batches."""
    generator = torch.Generator().manual_seed(key(seed, "train", step))
    phase = settings.phase(step)
    if torch.rand((), generator=generator) < settings.text_share:
        return _text(corpus, settings, phase.batch_size, generator)
    low, high = phase.spans
    span = round(low * (high / low) ** torch.rand((), generator=generator).item())
    return _question(corpus, settings, phase.batch_size, span, generator)


def _question(corpus: Corpus, settings: TrainingSettings, size: int, span: int, generator) -> Batch:
    sizes = torch.tensor([float(len(prompts)) for prompts, _ in corpus.groups])
    prompts, answers = corpus.groups[int(torch.multinomial(sizes, 1, generator=generator))]
    chosen = torch.randint(len(prompts), (size,), generator=generator)
    prompt, answer = prompts[chosen], answers[chosen, :span]
    if settings.objective == "causal":
        ended = (answer == corpus.eos_id).cumsum(1) > 1  # after the first EOS
        targets = torch.cat([prompt, answer], 1)
        return Batch(targets, targets, torch.cat([torch.zeros_like(prompt, dtype=torch.bool), ~ended], 1))
    hidden = torch.rand(prompt.shape, generator=generator) < settings.prompt_dropout * _ratios(size, generator)
    hidden[:, [0, -1]] = False  # the template itself stays
    ratio = _ratios(size, generator)
    ratio[torch.rand(size, 1, generator=generator) < settings.full_mask_share] = 1.0
    masked = torch.rand(answer.shape, generator=generator) < ratio
    masked[:, 0] |= ~masked.any(1)
    targets = torch.cat([prompt, answer], 1)
    covered = torch.cat([hidden, masked], 1)
    scored = torch.cat([torch.zeros_like(hidden), masked], 1)
    return Batch(targets.masked_fill(covered, corpus.mask_id), targets, scored)


def _text(corpus: Corpus, settings: TrainingSettings, size: int, generator, length: int = 64) -> Batch:
    starts = torch.randint(max(1, len(corpus.stream) - length), (size, 1), generator=generator)
    targets = corpus.stream[(starts + torch.arange(length)).clamp(max=len(corpus.stream) - 1)]
    if settings.objective == "causal":
        return Batch(targets, targets, (torch.arange(length) > 0).expand(size, -1))
    masked = torch.rand(targets.shape, generator=generator) < 0.15 + 0.7 * _ratios(size, generator)
    masked[:, 0] |= ~masked.any(1)
    return Batch(targets.masked_fill(masked, corpus.mask_id), targets, masked)


def _ratios(size: int, generator) -> torch.Tensor:
    """(size, 1) numbers in (0, 1), evenly spread over the batch (one random shift), in random order."""
    shift = torch.rand((), generator=generator)
    even = (torch.arange(size) + shift) / size
    return even[torch.randperm(size, generator=generator)][:, None]


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Linear warm-up, constant, linear decay to zero over the last `decay` of the steps."""
    left = (settings.steps - step) / max(1, math.ceil(settings.decay * settings.steps))
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup_steps), left)
