"""The rows of the model and data set tables, and the configuration of a run, as typed values."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from discreteness.core.rows import Row, Unique, one_of, refusal
from discreteness.datasets import KINDS, Kind
from discreteness.denoisers.rows import LoadingRow, Path
from discreteness.training.rows import TrainRow

Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[Unique[Count], Field(min_length=1)]
SOURCES = ("path", "repo", "train", "language")  # one of which a model's row needs


class ModelRow(LoadingRow):
    """A row of the model table."""

    model_config = ConfigDict(extra="forbid")

    repo: str | None = Field(default=None, description="The hub's model repository, for rows without `path`.")
    revision: Commit | None = Field(
        default=None,
        description="The 40-hex commit of `repo` that is meant; the newest where missing. "
        "`python -m discreteness.pin NAME` writes it.",
    )
    sha256: dict[str, Sha256] = Field(
        default={}, description="File name -> SHA-256 that the checkpoint's files must have."
    )
    licence: str | None = Field(default=None, description="Licence of the weights; for the reader.")
    size_gb: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Size of the weights in GB; sizes the jobs' memory, time limit and number of prompts. That of the "
        "files of `path` where missing.",
    )
    tokens_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Tokens per second that a job with this model reads, as "
        "`results/benchmarks/probe/{model}/{dataset}.speed.json` says; sizes the jobs instead of `size_gb`.",
    )
    train: TrainRow | None = Field(
        default=None,
        description="How the workflow trains this model; used where the row has no `path`, and to retrain it.",
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if not any(getattr(self, key) for key in SOURCES):
            sources = " or ".join(f"`{key}`" for key in SOURCES)
            raise refusal(None, f"the row is not valid without a source: it needs {sources}")
        return self


class DatasetRow(Row):
    """A row of the data set table."""

    kind: one_of(lambda: tuple(KINDS)) = Field(
        description="How the rows are made: "
        + ", ".join(f"`{name}` ({kind.about})" for name, kind in KINDS.items())
        + "."
    )
    path: Path | None = Field(
        default=None, description="`lima`: the local file of JSON lines in UTF-8 (`.jsonl`, or `.jsonl.gz`)."
    )
    repo: str | None = Field(default=None, description="`lima`: the hub's data set, for rows without `path`.")
    revision: Commit | None = Field(
        default=None,
        description="`lima`: the 40-hex commit of `repo` that is meant; the newest where missing. "
        "`python -m discreteness.pin NAME` writes it.",
    )
    split: Literal["train", "module", "package", "heldout"] | None = Field(
        default=None,
        description="`docs`: `train`, or what is held out: `module`, `package` or `heldout` (both in turn).",
    )
    packages: list[str] | None = Field(
        default=None, description="`docs`, split `train`: the packages to take; all where missing."
    )
    language: Literal["toy", "abab"] | None = Field(
        default=None, description="`toy`: `toy` (the paper's two sentences) or `abab` (ABAB and BABA)."
    )
    sentences: Count | None = Field(
        default=None,
        description="`grammar`, `toy`: sentences drawn from the language; each of its sentences once where missing.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="`grammar`, `toy`: seed of the draw; sentences drawn with another seed are a fresh sample.",
    )
    example: int | None = Field(
        default=None,
        ge=0,
        description="Row number of the prompt that the top-3 figure shows, where it is not `probe.example`.",
    )
    licence: str | None = Field(default=None, description="Licence of the data; for the reader.")

    @property
    def traits(self) -> Kind:
        """What the row's kind is."""
        return KINDS[self.kind]

    @property
    def language_name(self) -> str | None:
        """The language that the rows are sentences of; None for text."""
        return (self.language or self.kind) if self.traits.is_language else None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.kind == "docs" and self.split is None:
            raise refusal(None, "'split' is a required property")
        if self.kind == "lima" and not (self.path or self.repo):
            raise refusal(None, "the row is not valid without a source: it needs `path` or `repo`")
        return self


class ProbeSettings(Row):
    """Single-pass probing."""

    span: int = Field(ge=2, description="Mask tokens shown after each prompt.")
    top_k: Count = Field(description="Most probable tokens kept at each position.")
    prompts: Count = Field(
        description="Prompts probed; drawn with the seed when the data set has more, all when it has fewer."
    )
    example: int = Field(
        ge=0,
        description="Row number of the prompt that the top-3 figure shows; always among those probed; a data set's row "
        "may name its own.",
    )
    batch_tokens: Count = Field(
        description="Tokens per forward pass, prompts and masks together; bounds memory, can move the last digits."
    )


class DecodeSettings(Row):
    """Answers decoded in several steps, and what is wrong with them."""

    decoders: Unique[str] = Field(description="Names of the rows of the decoder table; none where the list is empty.")
    steps: Counts = Field(
        description="Numbers of steps, for decoders whose row names none; an adaptive one takes the largest as a bound."
    )
    span: int = Field(ge=2, description="Tokens of an answer, EOS included.")
    prompts: Count = Field(description="Prompts answered; drawn as for `probe.prompts`.")
    samples: Count = Field(description="Answers to each prompt.")
    rescored: Count = Field(
        description="Most tokens of an answer that are scored again, for regret and for disowned tokens; a keyed "
        "sample, weighted."
    )
    judge: str | None = Field(
        description="Row of the model table that measures generative perplexity, of family `autoregressive`; null for "
        "none."
    )
    examples: int = Field(ge=0, description="Worst combinations listed for each model, decoder and number of steps.")
    batch_tokens: Count = Field(description="Tokens per forward pass; bounds memory, can move the last digits.")


class CurveSettings(Row):
    """The information curve, what it says of corruption, and the price of parallel decoding."""

    prompts: int = Field(ge=0, description="Reference answers measured; drawn as for `probe.prompts`; 0 for no curve.")
    span: int = Field(ge=2, description="Tokens of an answer at most.")
    modes: Annotated[Unique[Literal["answer", "padded"]], Field(min_length=1)] = Field(
        description="What is measured: `answer`, an answer's own tokens only; `padded`, answers filled up to the span "
        "with EOS, as a model generates them. The first is what words are masked in by class (`curve.salience`)."
    )
    replicates: Count = Field(description="Random orders for each answer in which its tokens become visible.")
    levels: int = Field(
        ge=3,
        description="Numbers of visible tokens measured for each answer and order, where it has more than 32 tokens.",
    )
    steps: Counts = Field(description="Numbers of steps that are priced.")
    salience: float = Field(
        gt=0, le=1, description="Share of an answer that is masked when content words are set against function words."
    )
    sentences: int = Field(
        ge=2, description="Sentences of the language that the corruptions are measured on, and its sampled curve."
    )
    batch_tokens: Count = Field(description="Tokens per forward pass; bounds memory, can move the last digits.")


class LanguageSettings(Row):
    """The marginal trap where every sentence is known with its probability."""

    dataset: str = Field(description="Row of the data set table, of kind `grammar`.")
    models: Unique[str] = Field(
        description="Rows of the model table that decode it (its oracle, models trained on it); none where the list is "
        "empty."
    )
    decoders: Unique[str] = Field(description="Names of the rows of the decoder table.")
    steps: Counts = Field(description="Numbers of steps; at most the language's sentence length.")
    temperatures: Annotated[Unique[Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(
        description="Each decoder is run at these temperatures instead of its row's."
    )
    samples: int = Field(
        ge=2, description="Sentences decoded for each model, decoder, temperature and number of steps."
    )
    sentences: int = Field(ge=2, description="Sentences of the language that the sampled prices are estimated from.")
    toys: Unique[str] = Field(
        description="Rows of the model table, oracles of a toy language or trained on one, whose strings are "
        "enumerated."
    )


class TablePaths(Row):
    """Where the tables of models, data sets and decoders are."""

    models: str = Field(description="Path of the model table.")
    datasets: str = Field(description="Path of the data set table.")
    decoders: str = Field(description="Path of the decoder table.")


class Configuration(Row):
    """What is measured, on which models and data sets."""

    models: Annotated[Unique[str], Field(min_length=1)] = Field(
        description="Names of the rows of the model table to measure; the figures show them side by side in this order."
    )
    datasets: Annotated[Unique[str], Field(min_length=1)] = Field(
        description="Names of the rows of the data set table to measure the models on."
    )
    seed: int = Field(ge=0, description="Seed of every random draw (choice of prompts, bootstrap, training).")
    device: str = Field(
        pattern="^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        description="Where models run: `auto` (a GPU when there is one), `cpu`, `cuda`, `cuda:N` or `mps`.",
    )
    threads: Count = Field(
        description="CPU threads of a probing or training job; a setting, because it can move the last digits."
    )
    shard_size: Literal["auto"] | Count = Field(
        description="Prompts per job; one job loads the model once and serves this many. `auto`: as many as "
        "`job_minutes` are expected to be enough for."
    )
    job_minutes: float = Field(
        gt=0,
        description="How long a job with a model should take, as far as the model's size tells; results do not depend "
        "on it.",
    )
    long_prompts: Literal["refuse", "skip", "truncate"] = Field(
        description="A prompt that does not fit a model's context together with the span: `refuse` ends the job, "
        "`skip` leaves it out for this model, `truncate` drops tokens from its left; skipped and truncated ones are "
        "counted and listed in the job's log."
    )
    empty_prompts: Literal["refuse", "skip"] = Field(
        description="A row of a data file whose prompt or answer is empty: `refuse` ends the job, `skip` leaves it "
        "out; skipped ones are counted and listed in the job's log."
    )
    probe: ProbeSettings = Field(description=ProbeSettings.__doc__)
    decode: DecodeSettings = Field(description=DecodeSettings.__doc__)
    curve: CurveSettings = Field(description=CurveSettings.__doc__)
    language: LanguageSettings = Field(description=LanguageSettings.__doc__)
    tables: TablePaths = Field(description=TablePaths.__doc__)
