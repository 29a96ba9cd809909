"""What a row of `config/decoders.yaml` may say, checked before any work."""

from collections.abc import Mapping

from discreteness.decoding.policies import POLICIES
from discreteness.errors import InputError
from discreteness.settings import schema, validate
from discreteness.step_sizes import equal_sizes

GENERAL = {"order", "steps", "block_length", "temperature", "top_k", "top_p", "cfg_scale", "soft_mask", "forbid"}
COUNTED = {"schedule", "step_sizes", "alg_temp"}  # for policies whose numbers the schedule decides
DEFAULTS = {"temperature": 0.0, "top_k": None, "top_p": None, "cfg_scale": 0.0, "soft_mask": 0.0, "forbid": ()}


def check_policy(name: str, row: Mapping, span: int) -> dict:
    """A decoder row with every default filled in and its steps laid out; pure.

    Adds `blocks`, `steps_per_block` and, for fixed numbers, `sizes` (tokens per step of a block). Raises InputError,
    one line that names row and key, for an unknown order, a key that does not exist or has no effect with this order,
    a value out of range, and steps that do not fit the span.
    """
    order = row.get("order")
    if order not in POLICIES:
        raise InputError(f"decoders: {name}.order: {order!r} is unknown (expected one of {', '.join(POLICIES)})")
    policy = POLICIES[order]
    known = schema("decoders")["additionalProperties"]["properties"]
    validate({name: {key: value for key, value in row.items() if key in known or key not in policy.defaults}},
             "decoders", "decoders")  # fmt: skip
    counted = policy.schedule in ("equal", "timesteps")
    schedule = "equal" if "step_sizes" in row else row.get("schedule", policy.schedule)
    effective = GENERAL | set(policy.defaults) | (COUNTED if counted else set())
    effective |= {"remainder"} if schedule == "equal" else {"eps"} if schedule == "timesteps" else set()
    effective |= {"soft_mask_top_k"} if row.get("soft_mask") else set()
    for key in row:
        if key not in effective:
            raise InputError(f"decoders: {name}.{key}: has no effect with order {order} and schedule {schedule}")
    if row.get("soft_mask") and row.get("cfg_scale"):
        raise InputError(f"decoders: {name}.soft_mask: cannot be combined with cfg_scale")
    full = {**DEFAULTS, "alg_temp": None, "soft_mask_top_k": 3, **policy.defaults, **row, "schedule": schedule}
    if schedule == "timesteps":
        full.setdefault("eps", 1e-3)
    return {**full, **_layout(name, row, schedule, span)}


def _layout(name: str, row: Mapping, schedule: str, span: int) -> dict:
    """Blocks, steps and sizes of a row."""
    if "step_sizes" in row:
        sizes = list(row["step_sizes"])
        for key in ("steps", "block_length", "schedule", "remainder"):
            if key in row:
                raise InputError(f"decoders: {name}.{key}: cannot be combined with step_sizes")
        if sum(sizes) != span:
            raise InputError(f"decoders: {name}.step_sizes: add up to {sum(sizes)}, not to the span of {span}")
        return {"blocks": 1, "block_length": span, "steps": len(sizes), "steps_per_block": len(sizes), "sizes": sizes}
    length, steps = row.get("block_length", span), row.get("steps", span)
    if span % length:
        raise InputError(f"decoders: {name}.block_length: {length} does not divide the span of {span}")
    blocks = span // length
    if steps > span:
        raise InputError(f"decoders: {name}.steps: {steps} steps are more than the span of {span} tokens")
    if steps % blocks:
        raise InputError(f"decoders: {name}.steps: {steps} does not divide into {blocks} blocks of {length} tokens")
    layout = {"blocks": blocks, "block_length": length, "steps": steps, "steps_per_block": steps // blocks}
    if schedule == "equal":
        layout["sizes"] = equal_sizes(length, steps // blocks, row.get("remainder", "first"))
    return layout


def check_denoiser(name: str, row: Mapping, denoiser) -> None:
    """Raise InputError where a model's corruption cannot serve a checked row.

    Masks serve every order; a causal model serves `left_to_right`, one token a step; nothing else is decoded here.
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
