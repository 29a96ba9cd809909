"""What a probe says of itself, its speed and its provenance, and how those of shards are joined."""

from collections.abc import Mapping, Sequence


def speed(
    *, device: str, load_seconds: float, probe_seconds: float, prompts: int, tokens: int, peak_memory_gb: float
) -> dict:
    """The record of a probe's speed. tokens: of all sequences shown to the model, without padding."""
    return {
        "device": device,
        "load_seconds": round(load_seconds, 3),
        "probe_seconds": round(probe_seconds, 3),
        "prompts": prompts,
        "tokens": tokens,
        "tokens_per_second": round(tokens / probe_seconds, 1) if probe_seconds else 0.0,
        "peak_memory_gb": round(peak_memory_gb, 3),
    }


def joined_speed(records: Sequence[Mapping]) -> dict:
    """The speed of shards taken together: sums, the largest peak memory, the device of the first."""
    summed = ("load_seconds", "probe_seconds", "prompts", "tokens")
    return speed(
        device=records[0]["device"],
        **{name: sum(record[name] for record in records) for name in summed},
        peak_memory_gb=max(record["peak_memory_gb"] for record in records),
    )


def joined_provenance(records: Sequence[Mapping]) -> dict:
    """The provenance that the shards share, with the prompts that any of them skipped."""
    return {**records[0], "skipped": sorted(prompt_id for record in records for prompt_id in record["skipped"])}
