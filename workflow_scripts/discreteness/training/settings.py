"""How a small model is trained: one row's `train` mapping as a typed value."""

from dataclasses import dataclass, fields

from discreteness.core.errors import InputError


@dataclass(frozen=True)
class Phase:
    """Steps at one kind of batch.

    steps: optimiser steps; spans: shortest and longest answer span in tokens, drawn log-uniformly for each batch;
    batch_size: sequences a step; label_smoothing: probability mass spread over the whole vocabulary in the targets.
    """

    steps: int
    spans: tuple[int, int]
    batch_size: int
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class TrainingSettings:
    """Architecture, objective and schedule; the keys of `train` in a model's row (without `data`)."""

    vocab_size: int  # tokens of the byte-pair vocabulary, or most words there may be; special tokens included
    d_model: int  # width
    n_layers: int
    n_heads: int
    mlp_hidden_size: int  # width of the gated feed-forward layer
    max_sequence_length: int  # the model's context, tokens
    max_prompt_length: int  # longer training prompts are left out, tokens
    learning_rate: float  # AdamW's peak; linear warm-up, linear decay to zero over the last `decay` of the steps
    warmup_steps: int
    decay: float
    weight_decay: float
    full_mask_share: float  # share of sequences whose whole answer is masked; the others' ratio is uniform in (0, 1)
    prompt_dropout: float  # highest share of prompt tokens hidden behind masks, uniform from 0
    text_share: float  # share of batches that are masked running text instead of prompt and answer
    phases: tuple[Phase, ...]
    rows: int | None = None  # most rows of the data that are used: a sample keyed by the seed; all if not given
    tokenizer: str = "bpe"  # `bpe`: trained byte pairs; `words`: every word of the training text is a token
    start: str = "closed_form"  # of the weights, or `random`
    objective: str = "mask"  # `mask`: hidden tokens are predicted; `causal`: every answer token from those before it

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """The phase that a step (from 0) belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError(step)


def parse(row: dict) -> TrainingSettings:
    """Settings from a row's `train` mapping. Raises InputError for what the schema cannot check."""
    known = {field.name for field in fields(TrainingSettings)}
    values = {key: value for key, value in row.items() if key in known}
    values["phases"] = tuple(Phase(**{**phase, "spans": tuple(phase["spans"])}) for phase in row["phases"])
    settings = TrainingSettings(**values)
    if settings.d_model % (2 * settings.n_heads):
        raise InputError(f"train.d_model: {settings.d_model} is not an even multiple of n_heads = {settings.n_heads}")
    for phase in settings.phases:
        low, high = phase.spans
        if low > high or settings.max_prompt_length + high > settings.max_sequence_length:
            raise InputError(
                f"train.phases: spans {list(phase.spans)} with prompts of {settings.max_prompt_length} tokens do not "
                f"fit max_sequence_length = {settings.max_sequence_length}"
            )
    return settings
