"""What does not depend on how a run is carried out: bytes on the cores, numbers on batches and shards."""

import pandas as pd

from conftest import small_run

ANSWERS = "results/decodings/one/questions/random.parquet"
TABLES = [
    "results/curves/one/questions.parquet",
    "results/curves/one/questions.salience.parquet",
    ANSWERS,
    "results/coherence/one/questions/random.rescored.parquet",
    "results/coherence/one/questions/random.worst.csv",
    "results/probe/one/questions.positions.parquet",
    "results/probe/one/questions.information.parquet",
]
KEYS = ["left_out", "prompt_id", "padding", "steps", "sample", "replicate", "visible", "position"]


def test_a_fresh_run_on_one_core_has_the_same_bytes(finished, tmp_path):
    """Probe, curve, decodings, scores, the languages' tables and a figure; a model trained anew."""
    other = small_run(tmp_path / "copy")
    more = ["tables/marginal_trap_steps.csv", "tables/marginal_trap_toy.csv"]
    names = [*(name.removeprefix("results/") for name in TABLES), *more, "figures/top3_one_questions.png"]
    other.snakemake("--cores", "1", *(f"results/{name}" for name in names))
    here, there = finished.hashes(), other.hashes()
    assert set(names) <= set(there)
    assert {name: here[name] for name in there} == there


def test_numbers_do_not_depend_on_batches_or_shards(finished, tmp_path):
    """Shards of three, three and none of the six prompts, a batch for each of them."""
    other = finished.copy(tmp_path / "copy")
    other.config["shard_size"] = 3
    for record in (other.folder / "results").rglob("*.shards.json"):
        record.unlink()  # or the prompts would be shared out as before
    for work in ("probe", "curve", "decode"):
        other.config[work]["batch_tokens"] = 1
    other.write()
    other.snakemake("--cores", "2", *TABLES)
    assert not list((other.folder / "results").rglob("*.shards"))
    for name in TABLES:
        read = pd.read_csv if name.endswith("csv") else pd.read_parquet
        before, after = read(finished.folder / name), read(other.folder / name)
        keys = [key for key in KEYS if key in before]
        before, after = (frame.sort_values(keys, ignore_index=True) for frame in (before, after))
        if name == ANSWERS:
            for column in ("token_ids", "revealed_at"):
                assert list(map(list, after[column])) == list(map(list, before[column]))
        pd.testing.assert_frame_equal(after, before, rtol=0, atol=1e-5)
