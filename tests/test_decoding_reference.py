"""The published samplers' tokens, step by step, from reference files that their own code wrote."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, Qwen2Config, Qwen2Model

from discreteness import denoisers
from discreteness.decoding import decode
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "fixtures"
SPAN = 32


def folders(name):
    """Where a set of reference files lies: in the repository, or beside the checkout."""
    return [folder for folder in (HERE / "data" / name, SHARED / name) if folder.is_dir()][:1]


def load_dream(folder):
    """Dream's weights in a bidirectional Qwen2 whose predictions are read one position earlier."""
    if "dream" in denoisers.FAMILIES:
        return denoisers.load_denoiser({"family": "dream", "path": folder}, device="cpu")
    config = json.loads((folder / "config.json").read_text())
    names = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
    names += "max_position_embeddings rms_norm_eps tie_word_embeddings"
    qwen = Qwen2Config(
        **{name: config[name] for name in names.split()},
        rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
    )
    backbone, head = build_backbone(
        Qwen2Model, qwen, folder, lambda name: name.removeprefix("model."), torch.float32, torch.device("cpu")
    )
    return TransformerDenoiser(
        backbone,
        head,
        AutoTokenizer.from_pretrained(HERE / "data" / "llada-8b-style" / "checkpoint", trust_remote_code=False),
        mask_id=config["mask_token_id"],
        eos_ids=(config["eos_token_id"],),
        context_length=config["max_position_embeddings"],
        shift=True,
    )


def load_llada(folder):
    return denoisers.load_denoiser({"family": "llada", "path": folder}, device="cpu")


def llada_policy(kwargs):
    names = ("block_length", "steps", "temperature", "cfg_scale")
    return {"order": kwargs["remasking"], **{key: kwargs[key] for key in names if key in kwargs}}


def dream_policy(kwargs):
    names = ("steps", "temperature", "top_k", "top_p", "eps")
    policy = {"order": kwargs["alg"], **{key: kwargs[key] for key in names}}
    return policy if kwargs["alg"] == "origin" else {**policy, "alg_temp": kwargs["alg_temp"]}


FAMILIES = {
    "llada-8b-style": (load_llada, llada_policy),
    "llada-gqa-tied": (load_llada, llada_policy),
    "dream-7b-style": (load_dream, dream_policy),
}
CASES = [
    pytest.param(folder, case, id=f"{folder.name}-{case['name']}")
    for name in FAMILIES
    for folder in folders(name)
    for case in json.loads((folder / "cases.json").read_text())["generate_cases"]
]


@pytest.fixture(scope="module")
def loaded():
    """Every checkpoint and its tensors, loaded once."""
    loaded_by_folder = {}

    def get(folder):
        if folder not in loaded_by_folder:
            loaded_by_folder[folder] = (
                FAMILIES[folder.name][0](folder / "checkpoint"),
                load_file(folder / "cases.safetensors"),
            )
        return loaded_by_folder[folder]

    return get


class Recorder:
    """A denoiser that keeps the token matrix of every forward pass."""

    def __init__(self, denoiser):
        self.denoiser, self.seen = denoiser, []

    def __getattr__(self, name):
        return getattr(self.denoiser, name)

    def log_probs(self, token_ids, attention_mask, queries):
        self.seen.append(token_ids.clone())
        return self.denoiser.log_probs(token_ids, attention_mask, queries)


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_tokens_and_trajectory(loaded, folder, case):
    denoiser, tensors = loaded(folder)
    recorder = Recorder(denoiser)
    name = f"gen/{case['name']}"
    prompt = tensors[f"{name}/prompt"].long()
    real = tensors.get(f"{name}/attention_mask", torch.ones_like(prompt)).bool()
    prompts = [row[is_real].tolist() for row, is_real in zip(prompt, real, strict=True)]
    policy = FAMILIES[folder.name][1](case["kwargs"])
    result = decode(recorder, prompts, policy, span=SPAN, seed=case["seed"], noise="reference")
    assert torch.equal(result.token_ids[:, 0], tensors[f"{name}/output"][:, -SPAN:].long())
    assert (result.forward_passes == case["forwards"]).all()
    trajectory = tensors[f"{name}/trajectory"].long()
    seen = torch.stack([ids[: len(prompts)] for ids in recorder.seen])
    everywhere = torch.cat([real, torch.ones(len(prompts), SPAN, dtype=torch.bool)], -1)
    assert torch.equal(seen[:, everywhere], trajectory[:, everywhere])
    assert int((result.token_ids == denoiser.mask_id).sum()) == int((result.revealed_at < 0).sum())
    revealed = (trajectory[..., -SPAN:] != denoiser.mask_id).long()  # (N, B, span)
    steps = torch.where(revealed.any(0), revealed.argmax(0) - 1, len(trajectory) - 1)
    steps[tensors[f"{name}/output"][:, -SPAN:] == denoiser.mask_id] = -1
    assert torch.equal(result.revealed_at[:, 0], steps)


@pytest.mark.parametrize(("folder", "case"), [case for case in CASES if not case.values[1]["uses_rng"]])
def test_keyed_noise_changes_nothing_where_nothing_is_drawn(loaded, folder, case):
    """Without random numbers, right-padded batches of any size give the reference's tokens too."""
    denoiser, tensors = loaded(folder)
    name = f"gen/{case['name']}"
    prompt = tensors[f"{name}/prompt"].long()
    real = tensors.get(f"{name}/attention_mask", torch.ones_like(prompt)).bool()
    prompts = [row[is_real].tolist() for row, is_real in zip(prompt, real, strict=True)]
    result = decode(denoiser, prompts, FAMILIES[folder.name][1](case["kwargs"]), span=SPAN, batch_tokens=1)
    assert torch.equal(result.token_ids[:, 0], tensors[f"{name}/output"][:, -SPAN:].long())
