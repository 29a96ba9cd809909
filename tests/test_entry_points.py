"""What notebooks and other programs call stays where it is, and what is declared is readable without torch."""

import inspect
import subprocess
import sys
from pathlib import Path

import torch

import tiny
from discreteness.datasets import KINDS
from discreteness.denoisers import CORRUPTIONS, FAMILIES, LoadingRow
from discreteness.workflow.rows import DatasetRow, ModelRow

ROOT = Path(__file__).parents[1]


def test_a_denoiser_from_a_row(tmp_path):
    from discreteness.denoisers import load_denoiser

    denoiser = load_denoiser(
        {"family": "llada", "path": str(tiny.write(tmp_path / "w")), "dtype": "float32"}, device="cpu"
    )
    log_p = denoiser.log_probs(torch.tensor([[0, 5, 3]]), None, torch.tensor([[0, 2]]))
    assert log_p.shape == (1, denoiser.vocab_size) and log_p.dtype == torch.float32
    assert log_p.exp().sum().item() == 1.0 or abs(log_p.exp().sum().item() - 1) < 1e-5
    assert (denoiser.mask_id, denoiser.eos_ids, denoiser.corruption) == (3, (1, 2), "mask")
    assert denoiser.tokenizer("the cat").input_ids


def test_decoding_from_python(tmp_path):
    from discreteness.decoding import decode
    from discreteness.denoisers import load_denoiser

    denoiser = load_denoiser({"family": "llada", "path": str(tiny.write(tmp_path / "w"))}, device="cpu")
    policy = {"order": "low_confidence", "temperature": 0.0, "block_length": 8, "steps": 16}
    found = decode(denoiser, [[0, 5, 2]], policy, span=16, samples=2, seed=0, noise="keyed")
    for array in (found.token_ids, found.revealed_at, found.logprob_at_reveal):
        assert array.shape == (1, 2, 16)
    assert found.token_ids.dtype == torch.int64 and found.forward_passes.shape == (1, 2)
    names = ["denoiser", "prompts", "policy", "span", "samples", "seed", "noise"]
    assert list(inspect.signature(decode).parameters)[:7] == names


def test_prices_of_a_curve():
    """f = (ln 2, 0): two equal tokens. One step costs ln 2, two cost nothing."""
    from discreteness.information import expected_kl, optimal_steps

    f = [0.6931471805599453, 0.0]
    assert expected_kl(f, [2]) == f[0] and expected_kl(f, [1, 1]) == 0
    assert optimal_steps(f, 2) == [1, 1] and optimal_steps(f, 1) == [2]


def test_commands():
    for name in ("pin", "plan", "summary", "curves.price", "workflow.cluster", "workflow.documentation"):
        __import__(f"discreteness.{name}")


def test_what_families_policies_and_kinds_are_is_known_without_torch():
    code = (
        "import sys; from discreteness.denoisers import FAMILIES, CORRUPTIONS;"
        "from discreteness.decoding import POLICIES; from discreteness.decoding.rows import check_policy, is_adaptive;"
        "from discreteness.datasets import KINDS; from discreteness.workflow.configuration import load_run;"
        "assert POLICIES['remdm'].revises and POLICIES['entropy_bound'].adaptive;"
        "assert FAMILIES['llada'].masks and not FAMILIES['autoregressive'].masks;"
        "check_policy('a', {'order': 'entropy', 'steps': 4}, 8);"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow_scripts"), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_families_and_kinds_are_those_that_rows_may_name():
    assert {key for family in FAMILIES.values() for key in family.keys} <= set(LoadingRow.model_fields)
    assert {family.corruption for family in FAMILIES.values()} <= set(CORRUPTIONS)
    for row, key, names in ((ModelRow, "family", FAMILIES), (DatasetRow, "kind", KINDS)):
        assert row.model_json_schema()["properties"][key]["enum"] == list(names)


def test_a_familys_corruption_is_its_models(tmp_path):
    """What the registry says without loading is what a loaded model says."""
    from discreteness.denoisers import load_denoiser

    made = {"llada": tiny.write(tmp_path / "llada")}
    for family, kind in (
        ("autoregressive", "gpt2"),
        ("masked_lm", "bert"),
        ("qwen3_diffusion", "qwen3"),
        ("diffusion_gemma", "diffusion_gemma"),
    ):
        made[family] = tmp_path / family
        tiny.write_transformers(made[family], kind)
    made["dream"] = ROOT / "tests/data/dream-7b-style/checkpoint"
    rows = {family: {"family": family, "path": path} for family, path in made.items()}
    rows["oracle"] = {"family": "oracle", "language": "toy"}
    assert rows.keys() == FAMILIES.keys()
    for family, row in rows.items():
        denoiser = load_denoiser(row, "cpu")
        assert denoiser.corruption == FAMILIES[family].corruption
        assert (denoiser.mask_id is not None) == FAMILIES[family].masks
