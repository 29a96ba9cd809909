"""The loader against reference numbers, and everything it must refuse."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from discreteness.denoisers import load_denoiser
from discreteness.errors import InputError

DATA = Path(__file__).parent / "data" / "llada-8b-style"
CASES = json.loads((DATA / "cases.json").read_text())
# a second set of reference numbers, where a checkout has one beside it
OTHERS = [DATA, *Path(__file__).parents[2].glob("shared/fixtures/llada-gqa-tied")]


def load(folder, **row):
    return load_denoiser({"family": "llada", "path": folder, **row}, device="cpu")


@pytest.fixture(scope="module")
def reference():
    return load(DATA / "checkpoint"), load_file(DATA / "cases.safetensors")


def inputs(tensors, case):
    ids = tensors[f"logits/{case}/input_ids"].long()
    mask = tensors.get(f"logits/{case}/attention_mask")
    return ids, None if mask is None else mask.bool()


@pytest.mark.parametrize("data", OTHERS, ids=lambda path: path.name)
@pytest.mark.parametrize("case", [case["name"] for case in CASES["logit_cases"]])
def test_log_probs_equal_the_reference(data, case):
    denoiser, tensors = load(data / "checkpoint"), load_file(data / "cases.safetensors")
    ids, mask = inputs(tensors, case)
    everywhere = torch.cartesian_prod(*map(torch.arange, ids.shape))
    found = denoiser.log_probs(ids, mask, everywhere).view(*ids.shape, -1)
    expected = tensors[f"logits/{case}/logits"].log_softmax(-1)
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    assert (found - expected)[real].abs().max() <= 1e-4


@pytest.mark.parametrize("case", [case["name"] for case in CASES["logit_cases"] if case["n_masked"]])
def test_top3_at_the_masks(reference, case):
    denoiser, tensors = reference
    ids, mask = inputs(tensors, case)
    top = denoiser.log_probs(ids, mask, tensors[f"logits/{case}/mask_index"].long()).topk(3)
    assert torch.equal(top.indices, tensors[f"logits/{case}/top3_ids"].long())
    assert (top.values.exp() - tensors[f"logits/{case}/top3_probs"]).abs().max() <= 1e-5


@pytest.mark.parametrize("case", CASES["tokenizer_cases"], ids=lambda case: case["messages"][-1]["content"][:20])
def test_tokenizer(reference, case):
    denoiser, _ = reference
    tokenizer = denoiser.tokenizer
    rendered = tokenizer.apply_chat_template(case["messages"], tokenize=False, add_generation_prompt=True)
    assert rendered == case["rendered"]
    assert tokenizer(rendered, add_special_tokens=False).input_ids == case["ids"]
    if len(case["messages"]) == 1:
        assert denoiser.encode_prompt(case["messages"][0]["content"]) == case["ids"]


def test_attributes(reference):
    denoiser, _ = reference
    assert (denoiser.mask_id, denoiser.eos_ids, denoiser.vocab_size) == (455, (441, 473), 512)
    assert (denoiser.corruption, denoiser.context_length) == ("mask", 256)
    assert {440, 441, 455, 511} <= set(denoiser.special_ids)


def test_bfloat16_rotates_in_float32(reference):
    """In bfloat16 the distance to float32 is smaller with LLaDA's float32 rotation than with Llama's own."""
    denoiser, tensors = reference
    ids, _ = inputs(tensors, "all_mask_16")
    everywhere = torch.cartesian_prod(*map(torch.arange, ids.shape))
    exact = denoiser.log_probs(ids, None, everywhere)
    half = load(DATA / "checkpoint", dtype="bfloat16")
    assert half.backbone.dtype == torch.bfloat16 and half.head.dtype == torch.float32
    cos, _ = half.backbone.rotary_emb(torch.zeros(1, 2, 64, dtype=torch.bfloat16), torch.arange(2)[None])
    assert cos.dtype == torch.float32
    assert (half.log_probs(ids, None, everywhere) - exact).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_type", "sequential"),
        ("activation_type", "gelu"),
        ("layer_norm_type", "low_precision"),
        ("alibi", True),
        ("rope", False),
        ("scale_logits", True),
        ("input_emb_norm", True),
        ("attention_layer_norm", True),
        ("bias_for_layer_norm", True),
        ("block_group_size", 2),
        ("include_bias", True),
        ("include_qkv_bias", True),
        ("model_type", "llada_moe"),
    ],
)
def test_unsupported_settings_are_refused_by_name(tmp_path, key, value):
    with pytest.raises(InputError, match=rf"config.json: {key} = "):
        load(tiny.write(tmp_path, **{key: value}))


def test_missing_setting(tmp_path):
    folder = tiny.write(tmp_path)
    config = tiny.config()
    del config["n_heads"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config.json: key 'n_heads' is missing"):
        load(folder)


BLOCK = "model.transformer.blocks.1."


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop(BLOCK + "q_proj.weight"), r"lacks layers.1.self_attn.q_proj.weight"),
        (lambda t: t.update({BLOCK + "q_norm.weight": torch.ones(16)}), r"no place for: .*q_norm"),
        (lambda t: t.update({BLOCK + "q_proj.weight": torch.ones(16, 8)}), r"q_proj.weight' has shape \[16, 8\]"),
        (lambda t: t.pop("model.transformer.ff_out.weight"), r"lacks lm_head.weight"),
    ],
)
def test_missing_extra_and_misshapen_tensors(tmp_path, edit, message):
    with pytest.raises(InputError, match=message):
        load(tiny.write(tmp_path, edit=edit))


def test_every_tensor_comes_from_the_file(tmp_path):
    """Two checkpoints that differ in one tensor differ in what is loaded, for each tensor in turn."""
    folder = tiny.write(tmp_path)
    weights = load_file(folder / "model.safetensors")
    ids, queries = torch.tensor([[0, 5, 6, 3, 3]]), torch.tensor([[0, 3], [0, 4]])
    before = load(folder).log_probs(ids, None, queries)
    for name in weights:
        changed = dict(weights)
        changed[name] = weights[name] + 0.5 * torch.randn(
            weights[name].shape, generator=torch.Generator().manual_seed(1)
        )
        save_file(changed, folder / "model.safetensors")
        assert not torch.equal(load(folder).log_probs(ids, None, queries), before), name


def test_pickled_weights_are_refused(tmp_path):
    folder = tiny.write(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickled weights are never loaded"):
        load(folder)


def test_index_outside_the_folder(tmp_path):
    folder = tiny.write(tmp_path)
    index = {"weight_map": {"model.transformer.wte.weight": "../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="not a file of this folder"):
        load(folder)


def test_truncated_weights(tmp_path):
    folder = tiny.write(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a valid safetensors file"):
        load(folder)


def test_shards_through_an_index(tmp_path):
    folder = tiny.write(tmp_path)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    ids, queries = torch.tensor([[0, 5, 6, 3, 3]]), torch.tensor([[0, 3]])
    before = load(folder).log_probs(ids, None, queries)
    (folder / "model.safetensors").unlink()
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in shards.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(load(folder).log_probs(ids, None, queries), before)
    shutil.move(folder / "model-00002-of-00002.safetensors", folder / "elsewhere")
    with pytest.raises(InputError, match="named by the index but missing"):
        load(folder)


def test_non_finite_logits(tmp_path):
    def spoil(made):
        made["model.transformer.ln_f.weight"][0] = torch.inf

    with pytest.raises(FloatingPointError, match="row 0, position 1"):
        load(tiny.write(tmp_path, edit=spoil)).log_probs(torch.tensor([[0, 3]]), None, torch.tensor([[0, 1]]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"family": "lada"}, "family: 'lada' is unknown"),
        ({"family": "llada", "dtype": "float16"}, "dtype: 'float16'"),
        ({"family": "llada"}, "path"),
        ({"family": "llada", "path": "/nowhere"}, "/nowhere: no such folder"),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(InputError, match=message):
        load_denoiser(row, device="cpu")
