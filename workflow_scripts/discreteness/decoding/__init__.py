"""Decoding: a prompt, a span of masks, and a policy that says which of them become tokens at which step.

One loop over a denoiser (`loop`), policies as small named functions (`policies`), how many a step (`schedules`), where
the random numbers come from (`noise`), and what a row of `config/decoders.yaml` may say (`rows`).
"""

from discreteness.decoding.loop import Decoded, decode
from discreteness.decoding.policies import POLICIES, policy
from discreteness.decoding.rows import check_denoiser, check_policy

__all__ = ["POLICIES", "Decoded", "check_denoiser", "check_policy", "decode", "policy"]
