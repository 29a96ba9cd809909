"""The families that use transformers' own classes, against those classes called directly on random checkpoints."""

import json

import pytest
import torch

import tiny
from discreteness.core.errors import InputError
from discreteness.denoisers import load_denoiser

IDS = torch.randint(4, 20, (3, 20), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(3, 20, dtype=torch.bool)
MASK[1, 15:] = False
QUERIES = torch.tensor([[0, 13], [2, 19], [1, 10], [0, 14]])
KINDS = {
    "bert": "masked_lm",
    "modernbert": "masked_lm",
    "gpt2": "autoregressive",
    "qwen3": "qwen3_diffusion",
    "illada": "llada",
    "diffusion_gemma": "diffusion_gemma",
}


def load(folder, family, **row):
    if family == "llada":
        row = {"mask_id": 3, **row}
    return load_denoiser({"family": family, "path": folder, **row}, "cpu")


@pytest.fixture(scope="module", params=[*KINDS.items(), ("qwen3", "autoregressive")], ids="-".join)
def pair(request, tmp_path_factory):
    """(model called directly, checkpoint folder, family)."""
    name, family = request.param
    folder = tmp_path_factory.mktemp(name)
    model = tiny.write_transformers(folder, name)
    if family in ("qwen3_diffusion", "llada"):
        model.config.is_causal = model.model.config.is_causal = False
        for module in model.modules():
            if hasattr(module, "is_causal"):
                module.is_causal = False
    return model, folder, family


def directly(model, family) -> torch.Tensor:
    """(Q, V) log-probabilities at QUERIES from the model's own forward."""
    with torch.no_grad():
        if family != "diffusion_gemma":
            log_p = model(input_ids=IDS, attention_mask=MASK.long()).logits.float().log_softmax(-1)
            return log_p[QUERIES[:, 0], QUERIES[:, 1] - int(family == "autoregressive")]
        rows = []
        for row, position in QUERIES.tolist():
            tokens = IDS[row : row + 1, : int(MASK[row].sum())]
            logits = model(input_ids=tokens[:, :-8], decoder_input_ids=tokens[:, -8:]).logits
            rows.append(logits[0, position - (tokens.shape[1] - 8)].float().log_softmax(-1))
        return torch.stack(rows)


def test_float32_equals_the_class_called_directly(pair):
    model, folder, family = pair
    denoiser = load(folder, family)
    found = denoiser.log_probs(IDS, MASK, QUERIES)
    assert found.std() > 0.5 and (found - directly(model, family)).abs().max() <= 1e-5
    assert torch.allclose(found.exp().sum(-1), torch.ones(len(QUERIES)), atol=1e-5)


def test_bfloat16_weights_float32_head(pair):
    model, folder, family = pair
    denoiser = load(folder, family, dtype="bfloat16")
    found = denoiser.log_probs(IDS, MASK, QUERIES)
    weights = (denoiser.backbone if hasattr(denoiser, "backbone") else denoiser.model.base_model).parameters()
    assert all(weight.dtype == torch.bfloat16 for weight in weights)
    assert found.dtype == torch.float32 and (found - directly(model, family)).abs().mean() < 0.3
    assert not torch.equal(found, found.bfloat16().float())


def test_attributes(pair):
    model, folder, family = pair
    denoiser = load(folder, family, context_length=40)
    assert denoiser.vocab_size == len(tiny.tokenizer()) and denoiser.context_length == 40
    assert denoiser.corruption == {"autoregressive": "causal", "diffusion_gemma": "uniform"}.get(family, "mask")
    assert (denoiser.mask_id == 3) == (denoiser.corruption == "mask")
    assert denoiser.eos_ids[0] == 1 and {0, 1, 2, 3} <= set(denoiser.special_ids)
    ids = denoiser.encode_prompt("the dog runs")
    assert denoiser.tokenizer.decode(ids).split() == ["<|startoftext|>", "the", "dog", "runs", "<|eot_id|>"]


def test_only_queried_positions_reach_the_head(pair):
    _, folder, family = pair
    denoiser = load(folder, family)
    sizes = []
    if hasattr(denoiser, "body"):
        head = denoiser.model.get_output_embeddings()
        head.register_forward_hook(lambda module, arguments, output: sizes.append(output.shape[-2]))
        denoiser.log_probs(IDS, MASK, QUERIES)
        assert sizes == [len(QUERIES)]


def test_a_prefix_model_does_not_see_what_follows(tmp_path):
    tiny.write_transformers(tmp_path, "gpt2")
    denoiser = load(tmp_path, "autoregressive")
    changed = IDS.clone()
    changed[:, 13:] = 7
    queries = torch.tensor([[0, 13]])
    assert torch.equal(denoiser.log_probs(IDS, None, queries), denoiser.log_probs(changed, None, queries))
    with pytest.raises(ValueError, match="nothing at position 0"):
        denoiser.log_probs(IDS, None, torch.tensor([[0, 0]]))


def test_self_conditioning_shows_the_first_prediction(tmp_path):
    model = tiny.write_transformers(tmp_path, "diffusion_gemma")
    denoiser = load(tmp_path, "diffusion_gemma", self_conditioning=True)
    prompt, canvas = IDS[:1, :12], IDS[:1, 12:]
    with torch.no_grad():
        first = model(input_ids=prompt, decoder_input_ids=canvas).logits
        second = model(input_ids=prompt, decoder_input_ids=canvas, self_conditioning_logits=first).logits
    found = denoiser.log_probs(IDS[:1], None, torch.tensor([[0, 13]]))
    assert (found[0] - second[0, 1].log_softmax(-1)).abs().max() <= 1e-5
    assert (found[0] - first[0, 1].log_softmax(-1)).abs().max() > 1e-3


@pytest.mark.parametrize("queries", [[[0, 11]], [[1, 15]]])
def test_queries_outside_the_canvas(tmp_path, queries):
    tiny.write_transformers(tmp_path, "diffusion_gemma")
    with pytest.raises(ValueError, match="a canvas of 8 tokens"):
        load(tmp_path, "diffusion_gemma").log_probs(IDS, MASK, torch.tensor(queries))


def test_missing_and_superfluous_weights(pair):
    from safetensors.torch import load_file, save_file

    _, folder, family = pair
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = sorted(weights)[0]
    try:
        save_file({key: value for key, value in weights.items() if key != name}, file, {"format": "pt"})
        with pytest.raises(InputError, match="lacks"):
            load(folder, family)
        save_file({**weights, "model.spare.weight": torch.ones(3)}, file, {"format": "pt"})
        with pytest.raises(InputError, match="no place for.*spare"):
            load(folder, family)
        save_file({**weights, name: torch.ones(3)}, file, {"format": "pt"})
        with pytest.raises(InputError, match="shape"):
            load(folder, family)
    finally:
        save_file(weights, file, {"format": "pt"})


def test_no_mask_token(tmp_path):
    tiny.write_transformers(tmp_path, "bert")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (tmp_path / name).is_file():
            settings = json.loads((tmp_path / name).read_text())
            settings.pop("mask_token", None)
            (tmp_path / name).write_text(json.dumps(settings))
    with pytest.raises(InputError, match="no mask token; give the model's row a `mask_id`"):
        load(tmp_path, "masked_lm")
    assert load(tmp_path, "masked_lm", mask_id=5).mask_id == 5
