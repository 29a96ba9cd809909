"""How a small model is trained: one row's `train` mapping as a typed value."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from discreteness.core.rows import Row, refusal

SMALLEST_BPE = 300  # tokens of the smallest byte-pair vocabulary: all bytes, special tokens and some merges
Share = Annotated[float, Field(ge=0, le=1)]


class Phase(Row):
    """Steps with batches of one kind."""

    steps: int = Field(ge=1, description="Optimiser steps.")
    spans: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] = Field(
        description="Shortest and longest answer span, tokens; drawn log-uniformly for each batch."
    )
    batch_size: int = Field(ge=1, description="Sequences per step.")
    label_smoothing: float = Field(
        default=0.0, ge=0, le=0.5, description="Probability mass spread over the whole vocabulary in the targets."
    )


class TrainingSettings(Row):
    """Architecture, objective and optimisation; the keys of `train` in a model's row but `data` and `threads`.

    A whole `train` mapping may be given: its other keys are left to `TrainRow`.
    """

    model_config = ConfigDict(extra="ignore")

    vocab_size: int = Field(
        ge=5,
        description=f"Tokens of the byte-pair vocabulary (at least {SMALLEST_BPE}), or the most words there may be; "
        "special tokens included.",
    )
    tokenizer: Literal["bpe", "words"] = Field(
        default="bpe",
        description="`bpe`: byte pairs trained on the training text; `words`: each of its words is a token, for "
        "languages of few words.",
    )
    start: Literal["closed_form", "random"] = Field(
        default="closed_form",
        description="Weights to start from: `closed_form` (frequencies and co-occurrence of prompt and answer) or "
        "`random`.",
    )
    d_model: int = Field(ge=2, description="Width; an even multiple of `n_heads`.")
    n_layers: int = Field(ge=1, description="Transformer layers.")
    n_heads: int = Field(ge=1, description="Attention heads.")
    mlp_hidden_size: int = Field(ge=1, description="Width of the gated feed-forward layer.")
    max_sequence_length: int = Field(ge=2, description="The model's context, tokens.")
    max_prompt_length: int = Field(ge=2, description="Longer training prompts are left out, tokens.")
    learning_rate: float = Field(
        gt=0,
        le=1,
        description="AdamW's highest learning rate; linear warm-up, then constant, then linear decay to zero.",
    )
    warmup_steps: int = Field(ge=0, description="Steps of the warm-up.")
    decay: Share = Field(description="Share of the steps, at the end, over which the learning rate decays.")
    weight_decay: float = Field(ge=0, description="AdamW's weight decay, on matrices only.")
    full_mask_share: Share = Field(
        description="Share of sequences whose whole answer is masked; the others' mask ratio is uniform in (0, 1)."
    )
    prompt_dropout: Share = Field(description="Highest share of prompt tokens that are masked; uniform from 0.")
    text_share: Share = Field(description="Share of batches that are masked running text instead of prompt and answer.")
    objective: Literal["mask", "causal"] = Field(
        default="mask",
        description="`mask`: masked tokens are predicted, for family `llada`; `causal`: every answer token from those "
        "before it, for family `autoregressive`.",
    )
    rows: int | None = Field(
        default=None,
        ge=1,
        description="Most rows of the data that are used, a sample that the seed decides; all of them where missing.",
    )
    phases: Annotated[list[Phase], Field(min_length=1)] = Field(
        description="The steps, one kind of batch after the other."
    )

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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tokenizer == "bpe" and self.vocab_size < SMALLEST_BPE:
            raise refusal("vocab_size", f"{self.vocab_size} is less than the minimum of {SMALLEST_BPE}")
        if self.d_model % (2 * self.n_heads):
            raise refusal("d_model", f"{self.d_model} is not an even multiple of n_heads = {self.n_heads}")
        for phase in self.phases:
            low, high = phase.spans
            if low > high or self.max_prompt_length + high > self.max_sequence_length:
                raise refusal(
                    "phases",
                    f"spans {phase.spans} with prompts of {self.max_prompt_length} tokens do not fit "
                    f"max_sequence_length = {self.max_sequence_length}",
                )
        return self


class TrainRow(TrainingSettings):
    """`train` in a model's row."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="Row of the data set table that the model is trained on.")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of the training, where they are not the run's; they can move the last digits.",
    )

    def settings(self) -> dict:
        """What decides the weights beside data, seed and number of threads, as it is written."""
        return self.model_dump(exclude={"data", "threads"}, exclude_unset=True)
