"""What a row of `config/decoders.yaml` may say and stands for; checked before any work, without importing torch."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from discreteness.core.errors import InputError
from discreteness.core.rows import Row
from discreteness.core.schedules import EPS, equal_sizes
from discreteness.curves.step_sizes import optimal_steps
from discreteness.decoding.policies import POLICIES

REFERENCE = "reference"  # what the reference answers are called among the decoders; no row may have this name
Count = Annotated[int, Field(ge=1)]


class DecoderRow(Row):
    """A row of the decoder table. Keys of a policy have their defaults where it is registered, here None."""

    order: str = Field(
        description="Which masks come first; a policy of decoding/policies.py: "
        f"{', '.join(f'`{name}`' for name in POLICIES)}, or one of your own."
    )
    steps: Count | None = Field(
        default=None,
        description="Steps for the whole answer, over all blocks; an upper bound where the order has an adaptive "
        "number of steps. One token per step where missing.",
    )
    block_length: Count | None = Field(
        default=None,
        description="Tokens of a block; blocks are finished from left to right. The whole answer where missing.",
    )
    temperature: float = Field(
        default=0.0, ge=0, description="Temperature of the token draw; 0 takes the most probable token."
    )
    top_k: Count | None = Field(
        default=None, description="Tokens are drawn from the `top_k` most probable ones; all where missing or null."
    )
    top_p: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Tokens are drawn from the most probable ones that together reach this probability; all where "
        "missing or null.",
    )
    schedule: Literal["equal", "timesteps"] | None = Field(
        default=None,
        description="How many tokens per step: `equal` numbers (LLaDA), or `timesteps`, a share 1 - s/t of the "
        "remaining masks, truncated (Dream; the default of its orders).",
    )
    remainder: Literal["first", "last"] = Field(
        default="first",
        description="Where an uneven division puts what is left over: in the `first` steps (LLaDA) or the `last`.",
    )
    step_sizes: Literal["optimal"] | Annotated[list[Count], Field(min_length=1)] | None = Field(
        default=None,
        description="Tokens of every step, in place of `steps`; they add up to the span. `optimal`: for each of the "
        "run's numbers of steps, the sizes of least expected KL by the model's measured information curve.",
    )
    eps: float = Field(
        default=EPS, gt=0, lt=1, description="Where time ends with schedule `timesteps` and order `origin`."
    )
    alg_temp: float | None = Field(
        default=None,
        ge=0,
        description="Temperature at which positions are drawn by their scores, without replacement; the highest scores "
        "where missing, null or 0 (Dream).",
    )
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="`confidence_threshold`: every position with a confidence above it is revealed.",
    )
    factor: float | None = Field(
        default=None,
        gt=0,
        description="`confidence_factor`: the r-th position is revealed while its confidence is at least "
        "1 - factor / (r + 1).",
    )
    gamma: float | None = Field(
        default=None,
        ge=0,
        description="`entropy_bound`: bound on the revealed positions' entropies without the largest, nats.",
    )
    remask: Literal["cap", "rescale", "confidence"] | None = Field(
        default=None,
        description="`remdm`: how often tokens are masked again: at most `eta` (`cap`), `eta` times the highest rate "
        "(`rescale`), or the highest rate shared out to the least probable tokens (`confidence`, without `eta`).",
    )
    eta: float | None = Field(default=None, ge=0, le=1, description="`remdm`: see `remask`.")
    cfg_scale: float = Field(
        default=0.0,
        ge=0,
        description="Strength of classifier-free guidance, 0 for none; the unguided prediction sees masks in place of "
        "the prompt.",
    )
    soft_mask: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Weight of the most probable tokens' embeddings in the input of what is still masked, 0 for none; "
        "the mask's embedding has the rest.",
    )
    soft_mask_top_k: Count = Field(default=3, description="How many tokens a soft mask mixes.")
    forbid: list[Literal["mask", "eos"]] = Field(
        default=[], description="Tokens that are never drawn: `mask`, `eos` (all EOS ids)."
    )


# Keys that have an effect with every order; with those whose numbers a schedule decides; with one schedule
GENERAL = {"order", "steps", "block_length", "temperature", "top_k", "top_p", "cfg_scale", "soft_mask", "forbid"}
COUNTED = {"schedule", "step_sizes", "alg_temp"}
OF_SCHEDULE = {"equal": {"remainder"}, "timesteps": {"eps"}}


def check_policy(name: str, row: Mapping, span: int) -> dict:
    """A decoder row with every default filled in and its steps laid out; pure.

    Adds `blocks`, `steps_per_block` and, for fixed numbers, `sizes` (tokens per step of a block). Raises InputError,
    one line that names row and key, for an unknown order, a key that does not exist or has no effect with this order,
    a value out of range, and steps that do not fit the span.
    """
    order = row.get("order")
    if order not in POLICIES:
        raise InputError(f"decoders: {name}.order: {order!r} is unknown (expected one of {', '.join(POLICIES)})")
    policy, known = POLICIES[order], DecoderRow.model_fields
    own = {key: value for key, value in row.items() if key in policy.defaults and key not in known}
    typed = DecoderRow.read({key: row[key] for key in row.keys() - own.keys()}, "decoders", name)
    schedule = "equal" if typed.step_sizes else typed.schedule or policy.schedule
    effective = GENERAL | set(policy.defaults) | OF_SCHEDULE.get(schedule, set())
    effective |= COUNTED if policy.counted else set()
    effective |= {"soft_mask_top_k"} if typed.soft_mask else set()
    for key in row:
        if key not in effective:
            raise InputError(f"decoders: {name}.{key}: has no effect with order {order} and schedule {schedule}")
    if typed.soft_mask and typed.cfg_scale:
        raise InputError(f"decoders: {name}.soft_mask: cannot be combined with cfg_scale")
    given = typed.model_dump(include=typed.model_fields_set, exclude_none=True)
    full = {**typed.model_dump(), **policy.defaults, **given, **own, "schedule": schedule}
    return {**full, **_layout(name, typed, schedule, span)}


def _layout(name: str, row: DecoderRow, schedule: str, span: int) -> dict:
    """Blocks, steps and sizes of a row."""
    if row.step_sizes:
        sizes = list(row.step_sizes)
        for key in ("steps", "block_length", "schedule", "remainder"):
            if key in row.model_fields_set:
                raise InputError(f"decoders: {name}.{key}: cannot be combined with step_sizes")
        if sum(sizes) != span:
            raise InputError(f"decoders: {name}.step_sizes: add up to {sum(sizes)}, not to the span of {span}")
        return {"blocks": 1, "block_length": span, "steps": len(sizes), "steps_per_block": len(sizes), "sizes": sizes}
    length, steps = row.block_length or span, row.steps or span
    if span % length:
        raise InputError(f"decoders: {name}.block_length: {length} does not divide the span of {span}")
    blocks = span // length
    if steps > span:
        raise InputError(f"decoders: {name}.steps: {steps} steps are more than the span of {span} tokens")
    if steps % blocks:
        raise InputError(f"decoders: {name}.steps: {steps} does not divide into {blocks} blocks of {length} tokens")
    layout = {"blocks": blocks, "block_length": length, "steps": steps, "steps_per_block": steps // blocks}
    if schedule == "equal":
        layout["sizes"] = equal_sizes(length, steps // blocks, row.remainder)
    return layout


def is_adaptive(row: Mapping) -> bool:
    """Whether a decoder's number of steps depends on the predictions (see `Policy.adaptive`)."""
    return POLICIES[row["order"]].adaptive


def needs_recomputing(row: Mapping) -> bool:
    """Whether a decoder's log-probabilities at reveal are not what the model says of the final answer's states.

    So where it masks tokens again or mixes embeddings, which shows the model other states than those that follow from
    when each token took its place, and where guidance moves its predictions.
    """
    return POLICIES[row["order"]].revises or bool(row.get("soft_mask")) or bool(row.get("cfg_scale"))


def forbidden_ids(row: Mapping, denoiser) -> list[int]:
    """The token ids that a row forbids, in a denoiser's vocabulary."""
    named = {"mask": (denoiser.mask_id,), "eos": denoiser.eos_ids}
    return [id_ for word in row.get("forbid", ()) for id_ in named[word] if id_ is not None]


def fitting_steps(row: Mapping, steps: Sequence[int], span: int) -> list[int]:
    """Those of `steps` that divide into the row's blocks over `span` tokens; all of them for a row without blocks."""
    length = row.get("block_length", span)
    divides = isinstance(length, int) and length > 0 and span % length == 0
    blocks = span // length if divides else 1  # what does not divide is refused elsewhere
    return [count for count in steps if count % blocks == 0]


def variants(
    row: Mapping,
    steps: Sequence[int],
    temperatures: Sequence[float] = (),
    curve: np.ndarray | None = None,
    span: int | None = None,
) -> list[dict]:
    """The policies that a decoder's row stands for: one for each number of steps and each temperature.

    steps: for rows that name neither `steps` nor `step_sizes`; an adaptive policy takes the largest, as a bound. With
    `span` (tokens of an answer), a row with blocks takes those that divide into them. temperatures: instead of the
    row's, where any are given. curve: the information curve f(0 … L − 1) that `step_sizes: optimal` is worked out from.
    """
    if span is not None:
        steps = fitting_steps(row, steps, span)
    if row.get("step_sizes") == "optimal":
        with_steps = [{**row, "step_sizes": optimal_steps(curve, count)} for count in steps]
    elif "steps" in row or "step_sizes" in row:
        with_steps = [dict(row)]
    elif row.get("order") in POLICIES and is_adaptive(row) and steps:
        with_steps = [{**row, "steps": max(steps)}]
    else:
        with_steps = [{**row, "steps": count} for count in steps]
    values = temperatures or [row.get("temperature", 0.0)]
    return [{**one, "temperature": value} for one in with_steps for value in values]


def check_decoders(rows: Mapping[str, Mapping], used: Mapping[str, Mapping]) -> list[str]:
    """Notes, one line each, on the steps that decoders skip; InputError for a row that does not fit its settings.

    used: part of the configuration (`decode`, `language`) -> decoders, steps, temperatures and span.
    """
    notes = []
    for part, wanted in used.items():
        steps, span = wanted["steps"], wanted["span"]
        for name in wanted["decoders"]:
            row = rows[name]
            if not isinstance(row, Mapping) or not isinstance(row.get("order"), str):
                raise InputError(f"decoders: {name}: expected a mapping with `order`, found {row!r}")
            if row.get("step_sizes") == "optimal" and max(steps) > span:
                raise InputError(f"decoders: {name}.steps: {max(steps)} steps are more than the span of {span} tokens")
            flat = np.ones(span)  # stands for the curve that is measured later
            policies = variants(row, steps, wanted["temperatures"], flat, span)
            for policy in policies:
                check_policy(name, policy, span)
            length = row.get("block_length")
            skipped = [] if "steps" in row else [n for n in steps if n not in fitting_steps(row, steps, span)]
            blocks = f"{span // length} blocks of {length} token{'s' * (length > 1)}" if length else ""
            if not policies:
                raise InputError(
                    f"decoders: {name}.block_length: none of {part}.steps = {list(steps)} divides into {blocks}"
                )
            if skipped and not is_adaptive(row):
                listed = ", ".join(map(str, skipped))
                notes.append(f"config: {part}.steps: decoder {name} skips {listed}, which do not divide into {blocks}")
    return notes


def check_denoiser(name: str, row: Mapping, denoiser) -> None:
    """Raise InputError where a model's corruption cannot serve a checked row.

    Masks serve every order; a causal model serves `left_to_right`, one token per step; nothing else is decoded here.
    """
    order = row["order"]
    if denoiser.corruption == "causal":
        for key, fits in {
            "order": order == "left_to_right",
            "steps": row["steps"] == row["blocks"] * row["block_length"],
            "cfg_scale": not row["cfg_scale"],
            "soft_mask": not row["soft_mask"],
        }.items():
            if not fits:
                raise InputError(
                    f"decoders: {name}.{key}: {row[key]!r} does not fit a causal model, which decodes left_to_right, "
                    "one token a step, without guidance or soft masks"
                )
    elif denoiser.corruption != "mask":
        raise InputError(f"decoders: {name}.order: {order!r} decodes masks, not {denoiser.corruption} corruption")
    if row["soft_mask"] and not getattr(denoiser, "accepts_mixtures", False):
        raise InputError(f"decoders: {name}.soft_mask: this model takes no mixtures of embeddings")
    if row["soft_mask"] and row["soft_mask_top_k"] > denoiser.vocab_size:
        raise InputError(f"decoders: {name}.soft_mask_top_k: more than the model's {denoiser.vocab_size} tokens")
