"""Random seeds that depend on what a draw is for, never on the order of work."""

import hashlib


def key(seed: int, *purpose: object) -> int:
    """A 63-bit seed that depends only on `seed` and on what the draw is for (purpose, prompt_id, sample, …)."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
