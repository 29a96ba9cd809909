"""Probing: closed forms with mock predictions, then a real network in batches and shards of any size."""

import json
import logging
import math
import runpy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import tiny
from discreteness.core.errors import InputError
from discreteness.core.io import read_table, write_json, write_table
from discreteness.core.scoring import batches
from discreteness.datasets.prompts import select_prompts
from discreteness.denoisers import load_denoiser
from discreteness.probing.collapse import aggregate, collapse_point, top3
from discreteness.probing.probe import POSITION_COLUMNS, prepare, probe
from discreteness.probing.records import joined_provenance, joined_speed, speed
from discreteness.probing.sums import Sums, read_sums, write_sums
from discreteness.summary import summarise
from discreteness.workflow.configuration import ROOT
from mock_denoiser import MockDenoiser

WORDS = [f"w{i}" for i in range(8)]
SPAN = 4


def dataset(n: int) -> pd.DataFrame:
    """n prompts, the i-th of which is the word i."""
    return pd.DataFrame(
        {
            "prompt_id": [f"test-{i:05d}" for i in range(n)],
            "row": range(n),
            "prompt": [WORDS[i % len(WORDS)] for i in range(n)],
            "answer": [f"w{i % 8} w{(i + 1) % 8}" for i in range(n)],
            "source": "",
        }
    )


def run(predict, rows, batch_tokens=10**6, top_k=3):
    denoiser = MockDenoiser(WORDS, predict)
    task = prepare(denoiser, rows, rows, SPAN, top_k, 0)
    return probe(denoiser, task, SPAN, top_k, batch_tokens)


def uniform(ids, queries):
    return torch.zeros(len(queries), len(WORDS) + 2)


def copy_prompt(ids, queries):
    return 1000.0 * torch.nn.functional.one_hot(ids[queries[:, 0], 0], len(WORDS) + 2)


def test_uniform_predictions():
    positions, tokens, sums = run(uniform, dataset(8))
    assert np.allclose(positions["entropy"], math.log(10))
    assert np.allclose(positions["entropy_without_eos"], math.log(8))
    assert np.allclose(positions["top1_probability"], 0.1)
    assert np.allclose(positions["eos_probability"], 0.1)
    assert np.allclose(positions["answer_logprob"], -math.log(10))
    assert np.allclose(positions["js_next"].dropna(), 0, atol=1e-6)
    assert np.allclose(tokens["probability"], 0.1)
    assert np.allclose(sums.information()["prompt_information"], 0, atol=1e-6)


def test_each_prompt_its_own_token():
    """Certain predictions that name the prompt carry all there is to know: ln n."""
    positions, tokens, sums = run(copy_prompt, dataset(8))
    assert np.allclose(positions["entropy"], 0)
    information = sums.information()
    full = information[information["left_out"] == -1]
    assert np.allclose(full["prompt_information"], math.log(8))
    for _, group in information.groupby("left_out"):
        assert np.allclose(group["prompt_information"], np.log(group["prompts"]))
    first = tokens[(tokens["rank"] == 1) & (tokens["position"] == 0)]
    assert list(first["token"]) == [WORDS[i] for i in range(8)]


def test_predictions_that_ignore_the_prompt_carry_nothing():
    def same(ids, queries):
        return torch.linspace(0, 3, len(WORDS) + 2).expand(len(queries), -1)

    assert np.allclose(run(same, dataset(8))[2].information()["prompt_information"], 0, atol=1e-6)


def test_distance_to_the_priors():
    """Predicting the smoothed unigram itself has no divergence from it."""
    rows = dataset(8)
    denoiser = MockDenoiser(WORDS, uniform)
    task = prepare(denoiser, rows, rows, SPAN, 3, 0)
    positions, _, _ = run(lambda ids, queries: task.log_unigram.expand(len(queries), -1), rows)
    assert np.allclose(positions["kl_unigram"], 0, atol=1e-6)
    counts = np.array([3.0] * 8 + [17.0, 1.0])  # 2 of each word, 16 of padding, plus one
    assert np.allclose(task.log_unigram.exp().numpy(), counts / counts.sum(), atol=1e-6)
    assert np.allclose(task.log_unigram_without_eos.exp().numpy()[:8], 1 / 8, atol=1e-6)


def test_reference_tokens_are_padded():
    positions, _, _ = run(uniform, dataset(2))
    assert list(positions["answer_token"]) == ["w0", "w1", "<eos>", "<eos>", "w1", "w2", "<eos>", "<eos>"]
    assert list(positions.columns) == POSITION_COLUMNS


def test_batches_respect_the_budget_and_lose_nothing():
    lengths = [3, 50, 8, 9, 10, 10, 49, 3]
    result = list(batches(lengths, 40))
    assert sorted(index for batch in result for index in batch) == list(range(8))
    for batch in result:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= 40
        assert min(lengths[index] for index in batch) >= 0.8 * longest


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_denoiser({"family": "llada", "path": tiny.write(tmp_path_factory.mktemp("tiny"))}, device="cpu")


@pytest.fixture(scope="module")
def questions():
    """Prompts of many lengths."""
    frame = dataset(24)
    words = ["cat", "dog", "runs", "fast", "the", "blue"]
    frame["prompt"] = [" ".join(words[(i * j) % 6] for j in range(1, 2 + i % 11)) for i in range(24)]
    frame["answer"] = ["the cat runs .", "a dog sleeps", "red"] * 8
    return frame


def test_equal_whatever_the_batch_size(network, questions):
    task = prepare(network, questions, questions, 16, 3, 0)
    one = probe(network, task, 16, 3, batch_tokens=1)
    for size in (100, 10**6):
        many = probe(network, task, 16, 3, batch_tokens=size)
        for a, b in zip(one[:2], many[:2], strict=True):
            numbers = a.select_dtypes("number").columns
            assert np.allclose(a[numbers], b[numbers], atol=1e-5, equal_nan=True)
            assert a.drop(columns=numbers).equals(b.drop(columns=numbers))
        assert np.allclose(one[2].probability, many[2].probability, atol=1e-5)


def test_equal_whatever_the_shard_size(network, questions):
    whole = prepare(network, questions, questions, 16, 3, 0)
    positions, tokens, sums = probe(network, whole, 16, 3, 400)
    shards = []
    for start in range(0, 24, 7):
        chosen = questions.iloc[start : start + 7].reset_index(drop=True)
        shards.append(probe(network, prepare(network, questions, chosen, 16, 3, 0), 16, 3, 400))
    joined = pd.concat([shard[0] for shard in shards], ignore_index=True)
    numbers = positions.select_dtypes("number").columns
    assert np.allclose(positions[numbers], joined[numbers], atol=1e-5, equal_nan=True)
    assert list(joined["prompt_id"]) == list(positions["prompt_id"])
    total = sum((shard[2] for shard in shards[1:]), shards[0][2])
    assert np.allclose(total.information(), sums.information(), atol=1e-5)


def test_an_empty_shard_is_no_error(network, questions):
    task = prepare(network, questions, questions.iloc[:0], 16, 3, 0)
    positions, tokens, sums = probe(network, task, 16, 3, 400)
    assert len(positions) == len(tokens) == sums.prompts.sum() == 0


def test_a_prompt_that_does_not_fit(network, questions):
    long = questions.assign(prompt=["cat " * 60, *questions["prompt"][1:]])
    with pytest.raises(InputError, match=r"prompt test-00000: 62 tokens and a span of 16 exceed .* 64 tokens"):
        prepare(network, long, long, 16, 3, 0)


def test_too_many_top_tokens(network, questions):
    with pytest.raises(InputError, match="probe.top_k = 1000"):
        prepare(network, questions, questions, 16, 1000, 0)


def test_non_finite_predictions_name_the_prompt():
    def broken(ids, queries):
        logits = uniform(ids, queries)
        logits[queries[:, 0] == 1] = torch.nan
        return logits

    with pytest.raises(InputError, match=r"non-finite logits at row 1, position 1.*test-00000, test-00001"):
        run(broken, dataset(2))


def test_chosen_prompts_are_seeded_and_hold_the_example():
    rows = dataset(50)
    chosen = select_prompts(rows, 10, example=7, seed=0)
    assert len(chosen) == 10 and 7 in set(chosen["row"]) and chosen["row"].is_monotonic_increasing
    assert chosen.equals(select_prompts(rows.sample(frac=1, random_state=1), 10, 7, 0))
    assert not chosen.equals(select_prompts(rows, 10, 7, 1))
    assert len(select_prompts(rows, 99, 7, 0)) == 50
    with pytest.raises(InputError, match="probe.example = 50"):
        select_prompts(rows, 10, 50, 0)


def test_aggregates():
    """A model that names the prompt at position 0 and says EOS afterwards."""

    def collapse(ids, queries):
        first = queries[:, 1] == 1
        eos = torch.full_like(ids[queries[:, 0], 0], len(WORDS))
        return 1000.0 * torch.nn.functional.one_hot(torch.where(first, ids[queries[:, 0], 0], eos), len(WORDS) + 2)

    rows = dataset(8)
    positions, tokens, sums = run(collapse, rows)
    table = aggregate(positions, sums.information(), seed=0)

    def value(statistic, position, **where):
        match = table[(table["statistic"] == statistic) & (table["position"] == position)]
        for column, wanted in where.items():
            match = match[match[column] == wanted]
        return match["value"].item()

    assert value("prompt_information", 0) == pytest.approx(math.log(8))
    assert value("prompt_information", 1) == pytest.approx(0)
    assert value("class_share", 0, variant="all", token_class="content") == 1
    assert value("class_share", 3, variant="all", token_class="special") == 1
    shares = table[(table["statistic"] == "class_share") & (table["variant"] == "without_eos")]
    assert np.allclose(shares.groupby("position")["value"].sum(), 1)
    assert value("eos_probability", 1) == pytest.approx(1)
    point = table[table["statistic"] == "collapse_point"]
    assert point["value"].item() == 1 and point["position"].isna().all()
    assert value("usable_information", 0) > 0
    assert value("answer_top1", 0) == 1 and value("answer_top1", 1) == 0 and value("answer_top1", 2) == 1
    assert value("distinct_top1", 0) == 8 and value("distinct_top1", 1) == 1
    text = summarise(table.assign(model="mock", dataset="test"))
    assert "mock on test, 8 prompts" in text
    assert "| prompt information, nats | 2.08 (" in text and "| distinct most probable tokens | 8 | 1 | 1 | 1 |" in text
    assert (table["prompts"] == 8).all()
    example = top3(tokens, positions, rows.iloc[2])
    assert len(example) == SPAN * 3 and (example["prompt"] == "w2").all()
    assert example.loc[example["rank"] == 1, "token"].tolist() == ["w2", "<eos>", "<eos>", "<eos>"]


def test_collapse_point():
    assert collapse_point([2.0, 1.0, 0.1, 0.3, 0.1, 0.0]) == 4
    assert collapse_point([1.0, 1.0]) is None
    assert collapse_point([1.0, 0.05]) == 1


def test_sums_add_up():
    a, b = Sums.empty(2, 3), Sums.empty(2, 3)
    a.add(1, torch.full((2, 3), 1 / 3), np.full(2, math.log(3)))
    b.add(4, torch.eye(3)[:2], np.zeros(2))
    both = (a + b).information()
    assert both[both["left_out"] == -1]["prompts"].tolist() == [2, 2]
    assert set(both["left_out"]) == {-1, 1, 4}


def test_sums_survive_a_file(tmp_path):
    sums = Sums.empty(2, 3)
    sums.add(7, torch.eye(3)[:2] / 3, np.array([0.1, 0.2]))
    write_sums(sums, tmp_path / "sums.npz")
    again = read_sums(tmp_path / "sums.npz")
    assert torch.equal(again.probability, sums.probability)
    assert np.array_equal(again.entropy, sums.entropy) and np.array_equal(again.prompts, sums.prompts)


class Files(SimpleNamespace):
    """A rule's files by name, as a script sees them."""

    def get(self, name):
        return getattr(self, name, None)


def run_script(name, wildcards, input, output, **settings):
    """Run a script of the workflow as snakemake does."""
    snakemake = SimpleNamespace(
        input=Files(**input),
        output=Files(**{key: str(path) for key, path in output.items()}),
        params=SimpleNamespace(settings=settings),
        wildcards=SimpleNamespace(**wildcards),
        config={"device": "cpu"},
        log=[str(output["speed"].with_suffix(".log"))],
    )
    handlers, threads = list(logging.root.handlers), torch.get_num_threads()
    try:
        runpy.run_path(str(ROOT / "workflow_scripts" / name), init_globals={"snakemake": snakemake})
    finally:  # what `job` and `use_threads` change in a process of their own
        logging.root.handlers[:], logging.raiseExceptions = handlers, True
        logging.captureWarnings(False)
        torch.set_num_threads(threads)


PROBE = {
    "row": {"family": "llada"},
    "probe": {"span": 16, "top_k": 3, "prompts": 24, "example": 1, "batch_tokens": 10**6},
    "long_prompts": "skip",
    "seed": 0,
    "threads": 1,
}


def script_input(folder, prompts):
    """A tiny model and a table of prompts, as files."""
    model = tiny.write(folder / "tiny")
    write_json({"source": "here"}, model / "provenance.json")
    write_table(prompts, folder / "prompts.parquet")
    return {"prompts": str(folder / "prompts.parquet"), "model": str(model / "provenance.json")}


def script_output(folder, **more):
    names = {"positions": "parquet", "tokens": "parquet", "provenance": "json", "speed": "json", **more}
    return {name: folder / f"{name}.{ending}" for name, ending in names.items()}


def test_joined_shards_are_what_one_job_writes(tmp_path, questions):
    """From files to files: prompts of different lengths, one of them skipped, one shard without any."""
    input = script_input(tmp_path, questions.assign(prompt=["cat " * 60, *questions["prompt"][1:]]))
    wildcards = {"model": "tiny", "dataset": "test"}
    whole, joined = (script_output(tmp_path / name, information="parquet") for name in ("whole", "joined"))
    run_script("probe.py", wildcards, input, whole, shard=None, **PROBE)
    shards = [script_output(tmp_path / str(number), sums="npz") for number in range(3)]
    for number, output in enumerate(shards):
        shard = {"number": number, "size": 15}
        run_script("probe.py", {**wildcards, "shard": str(number)}, input, output, shard=shard, **PROBE)
    kinds = {"parts": "positions", "token_parts": "tokens"}
    kinds.update({f"{kind}_parts": kind for kind in ("sums", "provenance", "speed")})
    parts = {name: [str(output[kind]) for output in shards] for name, kind in kinds.items()}
    run_script("probe.py", wildcards, {**input, **parts}, joined, shard=None, **PROBE)
    for name in ("positions", "tokens", "information"):
        pd.testing.assert_frame_equal(read_table(whole[name]), read_table(joined[name]), atol=1e-5)
    provenance = json.loads(joined["provenance"].read_text())
    assert provenance == json.loads(whole["provenance"].read_text()) and provenance["skipped"] == ["test-00000"]
    speeds = [json.loads(output["speed"].read_text()) for output in (whole, joined)]
    assert [(record["prompts"], record["device"]) for record in speeds] == [(23, "cpu")] * 2
    assert speeds[0]["tokens"] == speeds[1]["tokens"] > 23 * 16


def test_no_prompt_fits(tmp_path, questions):
    input = script_input(tmp_path, questions.assign(prompt="cat " * 60))
    output = script_output(tmp_path / "out", information="parquet")
    with pytest.raises(SystemExit):
        run_script("probe.py", {"model": "tiny", "dataset": "test"}, input, output, shard=None, **PROBE)
    assert "error: test: no prompt fits the context of tiny" in (tmp_path / "out" / "speed.log").read_text()


def test_speeds_are_joined():
    one = speed(device="cpu", load_seconds=1.0, probe_seconds=2.0, prompts=3, tokens=30, peak_memory_gb=0.5)
    two = speed(device="cuda", load_seconds=0.5, probe_seconds=1.0, prompts=1, tokens=30, peak_memory_gb=0.7)
    assert one["tokens_per_second"] == 15
    assert joined_speed([one, two]) == {
        "device": "cpu",
        "load_seconds": 1.5,
        "probe_seconds": 3.0,
        "prompts": 4,
        "tokens": 60,
        "tokens_per_second": 20.0,
        "peak_memory_gb": 0.7,
    }
    empty = speed(device="cpu", load_seconds=1.0, probe_seconds=0.0, prompts=0, tokens=0, peak_memory_gb=0.5)
    assert joined_speed([empty, empty])["tokens_per_second"] == 0


def test_skipped_prompts_are_joined():
    records = [{"seed": 1, "skipped": ["c", "a"]}, {"seed": 1, "skipped": ["b"]}]
    assert joined_provenance(records) == {"seed": 1, "skipped": ["a", "b", "c"]}
