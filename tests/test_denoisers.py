"""The loader against reference numbers, and everything it must refuse."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import AttentionInterface

import tiny
from discreteness.core.errors import InputError
from discreteness.denoisers import load_denoiser, transformer

DATA = Path(__file__).parent / "data" / "llada-8b-style"
DREAM = Path(__file__).parent / "data" / "dream-7b-style"
# a third set of reference numbers, where a checkout has one beside it
SETS = [DATA, DREAM, *Path(__file__).parents[2].glob("shared/fixtures/llada-gqa-tied")]


def load(folder, **row):
    return load_denoiser({"family": "llada", "path": folder, **row}, device="cpu")


def index(data):
    return json.loads((data / "cases.json").read_text())


def loaded(data):
    return load(data / "checkpoint", family=index(data)["family"]), load_file(data / "cases.safetensors")


def cases(kind, wanted=lambda case: True):
    """(folder, case) of every reference case of a kind, with readable names."""
    found = [(data, case) for data in SETS for case in index(data).get(kind, []) if wanted(case)]
    names = [f"{data.name}-{case.get('name') or case['messages'][-1]['content'][:20]}" for data, case in found]
    return pytest.mark.parametrize(("data", "case"), found, ids=names)


@pytest.fixture(scope="module")
def reference():
    return loaded(DATA)


def inputs(tensors, case):
    ids = tensors[f"logits/{case}/input_ids"].long()
    mask = tensors.get(f"logits/{case}/attention_mask")
    return ids, None if mask is None else mask.bool()


@cases("logit_cases")
def test_log_probs_equal_the_reference(data, case):
    denoiser, tensors = loaded(data)
    ids, mask = inputs(tensors, case["name"])
    everywhere = torch.cartesian_prod(*map(torch.arange, ids.shape))
    found = denoiser.log_probs(ids, mask, everywhere).view(*ids.shape, -1)
    expected = tensors[f"logits/{case['name']}/logits"]
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.clone()
    if index(data).get("shift_logits"):
        expected = torch.cat([expected[:, :1], expected[:, :-1]], 1)
        if mask is not None:  # the reference reads the first token's prediction at padding, whose logits it leaves out
            real[torch.arange(len(ids)), mask.int().argmax(1)] = False
    assert (found - expected.log_softmax(-1))[real].abs().max() <= 1e-4


@cases("logit_cases", lambda case: case["n_masked"])
def test_top3_at_the_masks(data, case):
    denoiser, tensors = loaded(data)
    ids, mask = inputs(tensors, case["name"])
    top = denoiser.log_probs(ids, mask, tensors[f"logits/{case['name']}/mask_index"].long()).topk(3)
    assert torch.equal(top.indices, tensors[f"logits/{case['name']}/top3_ids"].long())
    assert (top.values.exp() - tensors[f"logits/{case['name']}/top3_probs"]).abs().max() <= 1e-5


@cases("likelihood_cases", lambda case: "patterns" not in case)
def test_likelihood(data, case):
    """LLaDA's Monte Carlo bound from the masked batches the reference drew: mean of Σ log p(x_i | state) / p_mask."""
    denoiser, tensors = loaded(data)
    prompt, answer, noisy, p_mask = (
        tensors[f"ll/{case['name']}/{key}"] for key in ("prompt", "answer", "noisy", "p_mask")
    )
    clean = torch.cat([prompt, answer]).long()
    losses = []
    for batch, ratio in zip(noisy.long(), p_mask, strict=True):
        masked = (batch == denoiser.mask_id).nonzero()
        log_p = denoiser.log_probs(batch, None, masked)
        if case["cfg_scale"]:
            blind = batch.clone()
            blind[:, : len(prompt)] = denoiser.mask_id
            without = denoiser.log_probs(blind, None, masked)
            log_p = (without + (case["cfg_scale"] + 1) * (log_p - without)).log_softmax(-1)
        nll = -log_p.gather(-1, clean[masked[:, 1], None])[:, 0]
        losses.append(float((nll / ratio[masked[:, 0], masked[:, 1]]).sum()) / len(batch))
    assert -sum(losses) / len(losses) == pytest.approx(case["value"], rel=1e-5)


@cases("likelihood_cases", lambda case: "patterns" in case)
def test_enumerated_likelihood(data, case):
    """The same bound with every mask pattern in turn: the number of masks uniform, the pattern uniform given it."""
    denoiser, tensors = loaded(data)
    prompt, answer = (tensors[f"ll/{case['name']}/{key}"].long() for key in ("prompt", "answer"))
    length, by_count = len(answer), {}
    for pattern in case["patterns"]:
        masked = torch.tensor(pattern["masked"])
        state = torch.cat([prompt, answer.index_fill(0, masked, denoiser.mask_id)])[None]
        log_p = denoiser.log_probs(state, None, torch.stack([torch.zeros_like(masked), masked + len(prompt)], -1))
        loss = -float(log_p.gather(-1, answer[masked, None]).sum()) * length / len(masked)
        assert loss == pytest.approx(pattern["loss"], rel=1e-5)
        by_count.setdefault(len(masked), []).append(loss)
    means = [sum(losses) / len(losses) for losses in by_count.values()]
    assert len(by_count[2]) == 10 and -sum(means) / length == pytest.approx(case["value"], rel=1e-5)


@cases("tokenizer_cases")
def test_tokenizer(data, case):
    denoiser, _ = loaded(data)
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
    """What attention gets in the first layer is the bfloat16 projections rotated in float32, by LLaDA's formula."""
    _, tensors = reference
    ids, _ = inputs(tensors, "all_mask_16")
    half = load(DATA / "checkpoint", dtype="bfloat16")
    assert half.backbone.dtype == torch.bfloat16 and half.head.dtype == torch.float32
    seen = []

    def spy(module, query, key, value, mask, **options):
        seen.append((query, key))
        return transformer._attention_float32_rotary(module, query, key, value, mask, **options)

    try:
        AttentionInterface.register(transformer.FLOAT32_ROTARY, spy)
        half.log_probs(ids, None, torch.tensor([[0, 0]]))
    finally:
        AttentionInterface.register(transformer.FLOAT32_ROTARY, transformer._attention_float32_rotary)
    layer = half.backbone.layers[0]
    hidden = layer.input_layernorm(half.backbone.embed_tokens(ids))
    width = half.backbone.config.head_dim
    inverse = 1.0 / 500000 ** (torch.arange(0, width, 2).float() / width)
    angles = torch.arange(ids.shape[1]).float()[:, None] * inverse  # (L, width / 2)
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    for found, project in zip(seen[0], (layer.self_attn.q_proj, layer.self_attn.k_proj), strict=True):
        plain = project(hidden).view(1, ids.shape[1], -1, width).transpose(1, 2).float()
        left, right = plain.chunk(2, -1)
        expected = plain * cos + torch.cat([-right, left], -1) * sin
        assert found.dtype == torch.float32 and torch.allclose(found, expected, atol=1e-6)
        assert not torch.equal(found, found.bfloat16().float())


def test_layers_on_several_devices(reference, tmp_path):
    """accelerate's placement, one layer kept on disk, computes the same."""
    denoiser, tensors = reference
    ids, _ = inputs(tensors, "all_mask_16")
    queries = torch.tensor([[0, 12], [0, 20]])
    expected = denoiser.log_probs(ids, None, queries)
    other = load(DATA / "checkpoint")
    places = {
        "embed_tokens": "cpu",
        "layers.0": "cpu",
        "layers.1": "disk",
        "layers.2": "cpu",
        "norm": "cpu",
        "rotary_emb": "cpu",
    }
    transformer.spread(other.backbone, torch.float32, places, tmp_path)
    assert list(tmp_path.iterdir()) and next(other.backbone.layers[1].parameters()).is_meta
    assert torch.equal(other.log_probs(ids, None, queries), expected)
    whole = load(DATA / "checkpoint", gpus=2)  # by free memory: all of it on the CPU here
    assert torch.equal(whole.log_probs(ids, None, queries), expected)


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
    ],
)
def test_unsupported_settings_are_refused_by_name(tmp_path, key, value):
    with pytest.raises(InputError, match=rf"config.json: {key} = "):
        load(tiny.write(tmp_path, **{key: value}))


@pytest.mark.parametrize("model_type", ["llada_moe", "llada2_moe"])
def test_mixtures_of_experts_are_refused(tmp_path, model_type):
    with pytest.raises(InputError, match=r"config.json: model_type: LLaDA's mixtures of experts are not supported"):
        load(tiny.write(tmp_path, model_type=model_type))


@pytest.mark.parametrize(("key", "value"), [("rope_scaling", {"type": "yarn"}), ("use_sliding_window", True)])
def test_what_dream_cannot_express(tmp_path, key, value):
    folder = shutil.copytree(DREAM / "checkpoint", tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(InputError, match=rf"config.json: {key} = "):
        load(folder, family="dream")


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
        ({"family": "lada"}, "family: 'lada' is not one of"),
        ({"family": "llada", "dtype": "float16"}, "dtype: 'float16'"),
        ({"family": "llada"}, "path"),
        ({"family": "autoregressive", "mask_id": 3}, "mask_id: family autoregressive has no such setting"),
        ({"family": "dream", "self_conditioning": True}, r"self_conditioning: .* \(only diffusion_gemma\)"),
        ({"family": "llada", "path": "/nowhere"}, "/nowhere: no such folder"),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(InputError, match=message):
        load_denoiser(row, device="cpu")
