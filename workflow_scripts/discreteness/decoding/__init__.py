"""Decoding: a prompt, a span of masks, and a policy that says which of them become tokens at which step.

One loop over a denoiser (`loop`), policies as small named functions (`policies`), how many tokens per step
(`schedules`), where the random numbers come from (`noise`), and what a row of `config/decoders.yaml` may say (`rows`).
`decode` needs torch and is imported when it is used; what policies and rows are is known without it.
"""

from importlib import import_module
from typing import Any

from discreteness.decoding.policies import POLICIES, policy
from discreteness.decoding.rows import check_denoiser, check_policy

__all__ = ["POLICIES", "Decoded", "check_denoiser", "check_policy", "decode", "policy"]


def __getattr__(name: str) -> Any:
    if name in ("Decoded", "decode"):
        return getattr(import_module("discreteness.decoding.loop"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
