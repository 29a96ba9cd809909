"""What of a model's row decides how it is loaded."""

import os
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from discreteness.core.rows import Row, one_of, refusal
from discreteness.denoisers.families import FAMILIES, Family
from discreteness.languages import LANGUAGES


def _expanded(path: object) -> object:
    """A path as text, with `~` as the home folder."""
    return os.path.expanduser(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else path


Path = Annotated[str, BeforeValidator(_expanded), Field(min_length=1)]


def _families() -> str:
    return ", ".join(f"`{name}` ({family.about})" for name, family in FAMILIES.items())


class LoadingRow(Row):
    """The keys of a model's row that a loader takes; the others are left to `workflow.rows.ModelRow`."""

    model_config = ConfigDict(extra="ignore")

    family: one_of(lambda: tuple(FAMILIES)) = Field(description=f"How the checkpoint is loaded: {_families()}.")
    path: Path | None = Field(
        default=None,
        description="A local checkpoint folder in the Hugging Face layout; comes before `repo` and `train`.",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Number format of the weights when computing; output head and softmax are float32 either way.",
    )
    context_length: int | None = Field(
        default=None, ge=2, description="Longest sequence in tokens, where it is not what config.json says."
    )
    mask_id: int | None = Field(
        default=None, ge=0, description="Id of the mask token, where it is not what config.json says."
    )
    gpus: int = Field(
        default=1,
        ge=0,
        description="GPUs that a job with the model asks for, its layers spread over them where they are several; with "
        "0 it computes on a CPU, on a cluster in the partition without GPUs.",
    )
    canvases: int = Field(
        default=8, ge=1, description="`diffusion_gemma`: random canvases that a single pass is averaged over."
    )
    self_conditioning: bool = Field(
        default=False, description="`diffusion_gemma`: predict twice, the second time shown the first prediction."
    )
    language: Literal[LANGUAGES] | None = Field(
        default=None,
        description="`oracle`: the language that is known exactly, "
        + ", ".join(f"`{name}`" for name in LANGUAGES)
        + ".",
    )

    @property
    def traits(self) -> Family:
        """What the row's family is."""
        return FAMILIES[self.family]

    @model_validator(mode="after")
    def _check(self) -> Self:
        every = {key for family in FAMILIES.values() for key in family.keys}
        for key in sorted(every & self.model_fields_set - {*self.traits.keys}):
            able = " or ".join(name for name, family in FAMILIES.items() if key in family.keys)
            raise refusal(key, f"family {self.family} has no such setting (only {able})")
        return self


# The keys whose values are parameters of jobs; `path` names where files lie, and `gpus` where a model runs
LOADING = tuple(key for key in LoadingRow.model_fields if key not in ("path", "gpus"))
