"""Random seeds that depend on what a draw is for, never on the order of work."""

import hashlib


def key(seed: int, *parts: object) -> int:
    """A 63-bit integer that depends on the seed and the parts (purpose, prompt_id, sample, …) and on nothing else."""
    text = "\x1f".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
