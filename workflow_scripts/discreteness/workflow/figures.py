"""The figures: which there are, how the report lists them, and which of them a run asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from discreteness.workflow.configuration import Run


@dataclass(frozen=True)
class Figure:
    """A figure, drawn from the table of the same name by the module `figures.{name}`.

    wildcards: what its file is named after besides. category, label: where the report lists it. wanted: run -> the
    values of the wildcards for which the run asks for it. settings: run, wildcards -> keyword arguments of `draw`.
    caption: run, wildcards -> what the caption says that neither table nor configuration has.
    """

    name: str
    wildcards: tuple[str, ...]
    category: str
    label: str
    wanted: Callable[[Run], list[tuple[str, ...]]]
    settings: Callable[[Run, Any], dict] = lambda run, wildcards: {}
    caption: Callable[[Run, Any], dict] = lambda run, wildcards: {}

    @property
    def stem(self) -> str:
        """Name of its files, with wildcards in braces."""
        return "_".join([self.name, *(f"{{{wildcard}}}" for wildcard in self.wildcards)])


def _corruption(run: Run, models: list[str]) -> dict[str, str]:
    return {model: run.models[model].traits.corruption for model in models}


def _texts(run: Run) -> list[tuple[str]]:
    return [(dataset,) for dataset in run.settings.datasets if not run.is_language(dataset)]


def _with_curve(run: Run) -> list[tuple[str]]:
    return sorted({(dataset,) for _, dataset in run.measured_curves})


def _with_prices(run: Run) -> list[tuple[str]]:
    return [*_with_curve(run), *([(run.settings.language.dataset,)] if run.language_name else [])]


# In the order of the report
FIGURES = (
    Figure(
        "top3",
        ("model", "dataset"),
        category="Single-pass probing",
        label="top 3 by position: {model} on {dataset}",
        wanted=lambda run: [(model, dataset) for model in run.settings.models for dataset in run.settings.datasets],
        settings=lambda run, wildcards: {"corruption": run.models[wildcards.model].traits.corruption},
        caption=lambda run, wildcards: {"example": run.example(wildcards.dataset)},
    ),
    Figure(
        "frequency_collapse",
        ("dataset",),
        category="Single-pass probing",
        label="collapse with distance: all models on {dataset}",
        wanted=lambda run: [(dataset,) for dataset in run.settings.datasets],
        settings=lambda run, wildcards: {"corruption": _corruption(run, run.settings.models)},
    ),
    Figure(
        "incoherence",
        ("dataset",),
        category="Marginal trap",
        label="incoherence by steps: all models on {dataset}",
        wanted=lambda run: _texts(run) if run.settings.decode.decoders and run.masked_models else [],
    ),
    Figure(
        "marginal_trap_steps",
        (),
        category="Marginal trap",
        label="invalid sentences and price by steps: small English",
        wanted=lambda run: [()] if run.language_name and run.settings.language.decoders else [],
    ),
    Figure(
        "marginal_trap_toy",
        (),
        category="Marginal trap",
        label="every string of two sentences: toy languages",
        wanted=lambda run: [()] if run.settings.language.toys else [],
    ),
    Figure(
        "information_decay",
        ("dataset",),
        category="Information loss",
        label="what is recoverable where: all models on {dataset}",
        wanted=_with_curve,
    ),
    Figure(
        "price_of_parallelism",
        ("dataset",),
        category="Information loss",
        label="price of parallel steps: all models on {dataset}",
        wanted=_with_prices,
    ),
    Figure(
        "smooth_corruption",
        (),
        category="Information loss",
        label="information kept by noise level: known language and text",
        wanted=lambda run: [()] if _with_prices(run) else [],
    ),
)


def figure_files(run: Run) -> list[str]:
    """The files of every figure that a run asks for."""
    names = ["_".join([figure.name, *values]) for figure in FIGURES for values in figure.wanted(run)]
    return [f"results/figures/{name}.{kind}" for name in names for kind in ("pdf", "png")]
