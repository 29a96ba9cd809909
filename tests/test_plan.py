"""The plan of a large run: closed forms, the table of docs/scale.md, and bytes taken from files that exist."""

import re

import pandas as pd
import pytest

from discreteness.core.errors import InputError
from discreteness.core.io import write_table
from discreteness.plan import OUTPUTS, bytes_per_prompt, plan, table
from discreteness.workflow.rows import Configuration, ModelRow
from discreteness.workflow.yaml_files import read_yaml
from project import ROOT

SETTINGS = Configuration.read({**read_yaml(ROOT / "config/config.yaml"), "device": "cuda"}, "config")
ROW = ModelRow(family="llada", repo="any/model", size_gb=16)
SIZE = dict.fromkeys(OUTPUTS, 1000.0)


def costs(models=100, **prompts):
    return plan(SETTINGS, ROW, models, {**dict.fromkeys(OUTPUTS, 100_000), **prompts}, SIZE)


def test_hours_are_operations_by_speed():
    """2 · 8e9 parameters · 256 tokens at 5e13 operations a second, once for each of 1e7 prompts."""
    cost = costs()["probe"]
    assert cost.hours == pytest.approx(1e7 * 2 * 8e9 * 256 / 5e13 / 3600)
    assert cost.jobs == 100 * (5 + 1)  # 21,972 prompts in half an hour
    assert cost.files == 2 * cost.jobs + 100 * 5 + 500 and cost.bytes == pytest.approx(1e10)


def test_decoders_count():
    """95 passes for every answer, by two decoders."""
    cost = costs(decode=500)["decode"]
    assert cost.hours == pytest.approx(2 * 100 * 500 * 95 * 256 / 3125 / 3600)
    assert cost.jobs == 2 * 100 * (3 + 1) and cost.bytes == pytest.approx(2 * 100 * 500 * 1000)


def test_one_job_where_the_work_is_small():
    assert costs(models=3, decode=10)["decode"].jobs == 2 * 3


def test_bytes_of_files_that_exist(tmp_path):
    frame = pd.DataFrame({"prompt_id": ["a", "a", "b"], "position": [0, 1, 0]})
    for patterns in OUTPUTS.values():
        for pattern in patterns:
            if pattern.endswith("parquet"):
                write_table(frame, tmp_path / pattern.format(m="m", d="d", c="c"))
    found = bytes_per_prompt(tmp_path, "m", "d", "c")
    size = (tmp_path / "probe/m/d.tokens.parquet").stat().st_size
    assert found["probe"] == size and found["decode"] == size / 2  # two files, one; two prompts
    with pytest.raises(InputError, match="other/d.positions.parquet: no such file"):
        bytes_per_prompt(tmp_path, "other", "d", "c")


@pytest.mark.parametrize("number", [0, 1])
def test_the_documented_plans_are_what_the_command_prints(number):
    text = (ROOT / "docs/scale.md").read_text()
    size = {stage: float(value.replace(",", "")) for stage, value in re.findall(r"`(\w+)` ([\d,]+) bytes", text)}
    documented = re.findall(r"(?:^\|.*GPU hours.*\n)(?:\|.*\n)+", text, re.M)[number]
    prompts = [
        dict.fromkeys(OUTPUTS, 100_000),
        {"probe": 100_000, "information_curve": 1000, "decode": 200, "rescore": 200, "judge": 200},
    ][number]
    assert table(plan(SETTINGS, ROW, 100, prompts, size), 64) == documented.rstrip("\n")
