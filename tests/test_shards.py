"""How many prompts a job takes: closed forms, and what no size may change."""

import pandas as pd
import pytest

from discreteness.core.errors import InputError
from discreteness.core.io import join_tables, read_table, table_writer, write_table
from discreteness.datasets.prompts import answers_of_shard, take_shard
from discreteness.workflow.rows import Configuration, ModelRow
from discreteness.workflow.shards import PROMPT, passes, prompts_per_job, size_gb, tokens_per_second
from discreteness.workflow.yaml_files import read_yaml
from project import ROOT

CONFIG = read_yaml(ROOT / "config/config.yaml")
SETTINGS = Configuration.read(CONFIG, "config")
LARGE = ModelRow(family="llada", repo="any/model", size_gb=16.0)
STAGES = ["probe", "information_curve", "decode", "rescore", "judge"]


def test_speed_follows_from_size_and_device():
    assert tokens_per_second(LARGE, "cuda:1") == tokens_per_second(LARGE, "auto") == pytest.approx(5e13 / 16e9)
    assert tokens_per_second(LARGE, "cpu") == pytest.approx(2e10 / 16e9)
    assert tokens_per_second(LARGE.model_copy(update={"size_gb": 0.01}), "auto") == pytest.approx(2000)
    assert tokens_per_second(LARGE.model_copy(update={"tokens_per_second": 77}), "cpu") == 77


def test_size_of_a_folder_without_a_row_that_says_it(tmp_path):
    (tmp_path / "model-1.safetensors").write_bytes(bytes(2_000_000))
    (tmp_path / "model-2.safetensors").write_bytes(bytes(1_000_000))
    assert size_gb(ModelRow(family="llada", path=str(tmp_path))) == pytest.approx(0.003)
    assert size_gb(ModelRow(family="llada", path=str(tmp_path), size_gb=5)) == 5
    assert size_gb(ModelRow(family="oracle", language="toy")) == 0.01


@pytest.mark.parametrize("stage", STAGES)
def test_a_shard_lasts_as_long_as_asked_for(stage):
    sequences, span = passes(stage, SETTINGS)
    size = prompts_per_job(stage, SETTINGS, LARGE)
    seconds = size * sequences * (PROMPT + span) / tokens_per_second(LARGE, "auto")
    one = seconds / size
    assert 1800 - one < seconds <= 1800
    assert prompts_per_job(stage, SETTINGS.model_copy(update={"shard_size": 7}), LARGE) == 7
    assert prompts_per_job(stage, SETTINGS.model_copy(update={"job_minutes": 1e-6}), LARGE) == 1


def test_work_counts_sequences():
    decode = {**CONFIG["decode"], "steps": [4, 8], "samples": 3, "rescored": 5, "span": 10}
    curve = {**CONFIG["curve"], "modes": ["answer", "padded"], "replicates": 2, "levels": 12, "span": 20}
    config = Configuration.read({**CONFIG, "decode": decode, "curve": curve}, "config")
    assert passes("decode", config) == (36, 10)
    assert passes("rescore", config) == (60, 10)
    assert passes("judge", config) == (6, 10)
    assert passes("information_curve", config) == (52, 20)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_shards_share_out_every_prompt_once(size):
    chosen = pd.DataFrame({"prompt_id": [f"p{i}" for i in range(7)]})
    answers = pd.DataFrame({"prompt_id": [*chosen["prompt_id"]] * 3, "steps": [1] * 7 + [2] * 7 + [4] * 7})
    numbers = range(-(-10 // size))  # for ten prompts, of which the data set has seven
    prompts = [take_shard(chosen, {"number": number, "size": size}) for number in numbers]
    assert list(pd.concat(prompts)["prompt_id"]) == list(chosen["prompt_id"])
    for number, mine in zip(numbers, prompts, strict=True):
        found = answers_of_shard(answers, {"number": number, "size": size})
        assert list(found["prompt_id"]) == list(mine["prompt_id"]) * 3
    assert take_shard(chosen, None) is chosen and answers_of_shard(answers, None) is answers


def test_tables_written_in_pieces_hold_the_same_rows(tmp_path):
    whole = pd.DataFrame({"prompt_id": list("aabbc"), "position": range(5), "entropy": [0.5, 1, 2, 3, 4]})
    parts = [whole[:0], whole[:2], whole[2:]]
    for number, part in enumerate(parts):
        write_table(part, tmp_path / f"{number}.parquet")
    write_table(whole, tmp_path / "whole.parquet")
    join_tables([tmp_path / f"{number}.parquet" for number in range(3)], tmp_path / "joined.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "joined.parquet"), read_table(tmp_path / "whole.parquet"))
    join_tables([tmp_path / "0.parquet"], tmp_path / "empty.parquet")
    assert list(read_table(tmp_path / "empty.parquet")) == list(whole)


def test_a_table_in_pieces_is_never_half_written(tmp_path):
    path = tmp_path / "table.parquet"
    piece = pd.DataFrame({"prompt_id": ["a"], "position": [0]})
    write_table(piece, path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), table_writer(path) as append:
        append(pd.concat([piece] * 100))
        raise RuntimeError
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="nothing to write"), table_writer(path):
        pass
    with pytest.raises(InputError, match="not a table"):
        (tmp_path / "spoilt.parquet").write_bytes(b"PAR1")
        join_tables([tmp_path / "spoilt.parquet"], path)
    assert path.read_bytes() == before
