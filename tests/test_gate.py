"""What a checkpoint must be able to do before any work, whatever its family: one line each where it cannot."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing

import tiny
from discreteness.core import token_classes
from discreteness.core.errors import InputError
from discreteness.denoisers import FAMILIES, gate, load_denoiser
from discreteness.denoisers.base import distinct
from discreteness.hub.checkpoint_folder import link_checkpoint, weight_files

DATA = Path(__file__).parent / "data"
DREAM = DATA / "dream-7b-style/checkpoint"
LLADA = DATA / "llada-8b-style/checkpoint"


def edit(path: Path, **changes) -> None:
    """Change keys of a JSON file; None removes one, `...` writes null."""
    value = {**json.loads(path.read_text()), **changes}
    kept = {key: None if v is ... else v for key, v in value.items() if v is not None}
    path.write_text(json.dumps(kept))


def load(folder: Path, family: str = "llada", **row):
    return load_denoiser({"family": family, "path": folder, **row}, "cpu")


def refused(folder: Path, family: str = "llada", **row) -> str:
    """The one line that a checkpoint is refused with."""
    with pytest.raises(InputError) as error:
        load(folder, family, **row)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    return str(error.value)


@pytest.fixture
def llada(tmp_path):
    return tiny.write(tmp_path / "llada")


@pytest.fixture
def gpt2(tmp_path):
    tiny.write_transformers(tmp_path / "gpt2", "gpt2")
    return tmp_path / "gpt2"


@pytest.fixture
def bert(tmp_path):
    tiny.write_transformers(tmp_path / "bert", "bert")
    return tmp_path / "bert"


@pytest.fixture
def dream(tmp_path):
    return Path(shutil.copytree(DREAM, tmp_path / "dream"))


# ---- the three kinds of loader pass, and log nothing to worry about


def test_tiny_checkpoints_pass(llada, gpt2, bert, dream):
    for folder, family in ((llada, "llada"), (gpt2, "autoregressive"), (bert, "masked_lm"), (dream, "dream")):
        assert load(folder, family).notes == ()


# ---- tokenizers


def test_a_folder_without_tokenizer_is_refused(dream, gpt2):
    for folder, family in ((dream, "dream"), (gpt2, "autoregressive")):
        for path in folder.iterdir():
            if path.name != "config.json" and path.suffix != ".safetensors":
                path.unlink()
        assert "no tokenizer files" in refused(folder, family)


def test_a_tokenizer_without_its_vocabulary_is_refused(bert):
    for path in bert.iterdir():
        if "token" in path.name or path.suffix == ".jinja":
            path.unlink()
    (bert / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert re.search("no tokenizer files|no usable tokenizer|cannot spell", refused(bert, "masked_lm"))


def test_vocab_txt_is_taken_along(bert, tmp_path):
    """A BERT folder of the old kind: what a job reads in results/models spells as the folder itself."""
    for path in bert.iterdir():
        if "token" in path.name or path.suffix == ".jinja":
            path.unlink()
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[SEP]", "[CLS]", "[MASK]", *tiny.WORDS, "[UNK]"]) + "\n")
    link_checkpoint(bert, tmp_path / "linked", {})
    text = "what does the cat do"
    assert (
        load(tmp_path / "linked", "masked_lm").encode_answer(text)
        == t.AutoTokenizer.from_pretrained(bert)(text, add_special_tokens=False)["input_ids"]
    )


def test_a_tokenizer_that_garbles_is_refused(tmp_path):
    folder = Path(shutil.copytree(LLADA, tmp_path / "llada"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["decoder"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "comes back as" in refused(folder)


def test_a_small_language_may_know_no_english(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "WORDS", [str(number) for number in range(100, 118)])
    assert "cannot spell a plain English sentence" in load(tiny.write(tmp_path / "numbers")).notes[0]


def test_whole_words_without_a_token_for_others(llada):
    """A tokenizer that refuses what it does not know; its own words are enough for a small language."""
    tokenizer = json.loads((llada / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["rare"] = tokenizer["model"]["vocab"].pop("[UNK]")
    (llada / "tokenizer.json").write_text(json.dumps(tokenizer))
    edit(llada / "tokenizer_config.json", unk_token=None)
    assert any("it has no tokens" in note for note in load(llada).notes)


# ---- chat templates


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('needs a system message') }}", "cannot render .*needs a system message"),
        ("{{ messages[0]['content'] ", "cannot render"),
        ("{% for part in messages[0]['content'] %}{{ part['text'] }}{% endfor %}<|eot_id|>", "does not appear"),
        ("<|eot_id|>", "does not appear in its own rendering"),
        ("{{ messages[0]['content'] }}{{ range(99999)|random }}{{ range(99999)|random }}", "differently each time"),
    ],
)
def test_templates_that_lose_the_prompt(llada, template, message):
    (llada / "chat_template.jinja").write_text(template)
    assert re.search(message, refused(llada))


def test_named_templates_without_a_default(llada):
    (llada / "chat_template.jinja").unlink()
    named = [{"name": "rag", "template": "{{ messages[0]['content'] }}"}, {"name": "tool_use", "template": "x"}]
    edit(llada / "tokenizer_config.json", chat_template=named)
    assert "chat template" in refused(llada)


def test_the_date_is_fixed_and_said(llada):
    (llada / "chat_template.jinja").write_text("{{ strftime_now('%d %B %Y') }} {{ messages[0]['content'] }}")
    denoiser = load(llada)
    assert denoiser.render_prompt("the cat") == "01 January 2025 the cat"
    assert any("2025-01-01" in note for note in denoiser.notes)


# ---- ids


def test_ids_of_one_form():
    assert distinct([3, [1, 3], None, (2,)]) == (3, 1, 2)
    for wrong in ("5", 1.5, True):
        with pytest.raises(InputError, match="token id"):
            distinct([wrong])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_token_id": 40}, "mask_id = 40 is not an id of the output head"),
        ({"mask_token_id": ...}, "mask_token_id is missing or null"),
        ({"mask_token_id": None}, "mask_token_id is missing or null"),
        ({"mask_token_id": "three"}, "token id: 'three'"),
        ({"eos_token_id": 99}, "EOS = 99 is not an id of the output head"),
    ],
)
def test_ids_of_config_json(llada, changes, message):
    edit(llada / "config.json", **changes)
    with pytest.raises(InputError, match=message):
        load(llada)


def test_several_ends_and_tokens_beyond_the_head(llada):
    edit(llada / "config.json", eos_token_id=[1, 2])
    tokenizer = t.PreTrainedTokenizerFast.from_pretrained(llada)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(llada)
    denoiser = load(llada)
    assert denoiser.eos_ids == (1, 2)
    assert max(denoiser.special_ids) < denoiser.vocab_size == len(denoiser.tokenizer) - 1
    assert "output head predicts 23" in denoiser.notes[0]


def test_no_end_at_all(gpt2):
    edit(gpt2 / "tokenizer_config.json", eos_token=None, pad_token=None)
    assert "neither an EOS nor a padding token" in refused(gpt2, "autoregressive")


# ---- settings in the spelling of transformers 5


ROTARY = {"rope_type": "default", "rope_theta": 1000000.0}


@pytest.mark.parametrize("family", ["dream", "llada", "qwen3_diffusion", "illada"])
def test_rope_parameters_are_read_like_rope_theta(tmp_path, family):
    """The same predictions whichever spelling states the base; another base gives others."""
    folder = tmp_path / "a"
    if family in ("dream", "llada"):
        shutil.copytree(DREAM if family == "dream" else LLADA, folder)
    else:
        tiny.write_transformers(folder, "qwen3" if family == "qwen3_diffusion" else "illada")
    row = {"mask_id": 3} if family == "illada" else {}
    kind = "llada" if family == "illada" else family
    ids, queries = torch.arange(4, 12)[None], torch.tensor([[0, 5]])

    def predicted(**changes):
        edit(folder / "config.json", rope_theta=None, rope_scaling=None, rope_parameters=None)
        edit(folder / "config.json", **changes)
        return load(folder, kind, **row).log_probs(ids, None, queries)

    old = predicted(rope_theta=1000000.0)
    assert torch.equal(predicted(rope_parameters=ROTARY), old)
    assert torch.equal(predicted(rope_theta=1000000.0, rope_parameters={"rope_type": "default"}), old)
    assert not torch.allclose(predicted(rope_parameters={**ROTARY, "rope_theta": 100.0}), old, atol=1e-3)
    for changes, message in (
        ({"rope_theta": 10000.0, "rope_parameters": ROTARY}, "rope_theta = 10000.0 but rope_parameters.rope_theta = 1"),
        ({"rope_parameters": {**ROTARY, "rope_type": "yarn", "factor": 4.0}}, "'yarn'.* is not supported"),
        ({"rope_parameters": {**ROTARY, "partial_rotary_factor": 0.5}}, "partial_rotary_factor.* is not supported"),
        ({"rope_parameters": {"full_attention": ROTARY}}, "full_attention.* is not supported"),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling = .* is not supported"),
        ({}, "'rope_theta' is missing"),
    ):
        with pytest.raises(InputError, match=message):
            predicted(**changes)


# ---- which family a folder is of


@pytest.mark.parametrize(
    ("family", "named", "message"),
    [
        ("llada", "LLaDAMoEModelLM", "LLaDA-MoE, a mixture of experts, which is not supported"),
        ("llada", "LLaDA2MoeModelLM", "LLaDA2, a mixture of experts"),
        ("masked_lm", "SDARForCausalLM", "SDAR, a block-diffusion model"),
        ("llada", "DreamModel", "DreamModel is not of family llada .the row should say family: dream"),
        ("llada", "LlamaForCausalLM", "is not of family llada .expected LLaDAModelLM"),
        ("autoregressive", "LLaDAModelLM", "the row should say family: llada"),
    ],
)
def test_architectures_decide_first(llada, family, named, message):
    edit(llada / "config.json", architectures=[named])
    assert re.search(message, refused(llada, family))


def test_every_familys_own_architecture_is_named_once():
    named = [name for family in FAMILIES.values() for name in family.architectures]
    assert len(named) == len(set(named))


def test_a_folder_that_does_not_say_whether_it_is_block_diffusion(tmp_path):
    tiny.write_transformers(tmp_path / "q", "qwen3")
    assert "bd3lm" in load(tmp_path / "q", "qwen3_diffusion").notes[0]


# ---- what a configuration asks for besides


def test_attention_is_ours_to_choose_and_quantised_weights_are_refused(gpt2):
    edit(gpt2 / "config.json", _attn_implementation="flash_attention_2")
    assert load(gpt2, "autoregressive").model.config._attn_implementation == "sdpa"
    edit(gpt2 / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert "quantised by bitsandbytes" in refused(gpt2, "autoregressive")


def test_quantised_weights_are_refused_for_every_family(llada):
    edit(llada / "config.json", quantization_config={"quant_method": "gptq"})
    assert "quantised by gptq" in refused(llada)


# ---- context lengths


def save(folder: Path, model) -> Path:
    model.save_pretrained(folder)
    tokenizer = tiny.tokenizer()
    tokenizer.mask_token = "<|mdm_mask|>"
    tokenizer.save_pretrained(folder)
    return folder


SIZE = {"vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 1, "pad_token_id": 1, "eos_token_id": 1}


def odd_model(name: str):
    """A random model of a class that is unlike the others in some way."""
    torch.manual_seed(0)
    heads = {"num_attention_heads": 2, "intermediate_size": 24}
    return {
        "bloom": lambda: t.BloomForCausalLM(t.BloomConfig(vocab_size=23, hidden_size=16, n_layer=1, n_head=2)),
        "mamba": lambda: t.MambaForCausalLM(t.MambaConfig(**SIZE, state_size=4)),
        "roberta": lambda: t.RobertaForMaskedLM(t.RobertaConfig(**SIZE, **heads, max_position_embeddings=66)),
        "opt": lambda: t.OPTForCausalLM(
            t.OPTConfig(**SIZE, num_attention_heads=2, ffn_dim=24, max_position_embeddings=64, word_embed_proj_dim=16)
        ),
        "gptj": lambda: t.GPTJForCausalLM(
            t.GPTJConfig(vocab_size=23, n_embd=16, n_layer=1, n_head=2, n_positions=32, rotary_dim=4)
        ),
    }[name]()


@pytest.mark.parametrize(
    ("name", "family", "length"),
    [
        ("bloom", "autoregressive", None),
        ("mamba", "autoregressive", None),
        ("roberta", "masked_lm", 66 - 2),
        ("opt", "autoregressive", 64),
        ("gptj", "autoregressive", 32),
    ],
)
def test_context_lengths(tmp_path, name, family, length):
    folder = save(tmp_path / name, odd_model(name))
    if length is None:
        assert "says no context length; give the model's row a `context_length`" in refused(folder, family)
    else:
        assert load(folder, family).context_length == length
    if name in ("roberta", "opt"):
        with pytest.raises(InputError, match="context_length: 70 is more than the 64 positions"):
            load(folder, family, context_length=70)
    denoiser = load(folder, family, context_length=20)
    assert denoiser.context_length == 20
    ids, queries = torch.arange(4, 10)[None], torch.tensor([[0, 2], [0, 5]])
    assert torch.allclose(denoiser.log_probs(ids, None, queries), denoiser.plain_log_probs(ids)[0, [2, 5]], atol=1e-5)


def test_robertas_last_position_is_the_last_that_works(tmp_path):
    """Its table has 66 rows, of which the first two are never used: 64 tokens fit, 65 do not."""
    denoiser = load(save(tmp_path / "r", odd_model("roberta")), "masked_lm")
    ids = torch.full((1, denoiser.context_length), 5)
    denoiser.log_probs(ids, None, torch.tensor([[0, 0]]))
    with pytest.raises((IndexError, RuntimeError)):
        denoiser.log_probs(torch.full((1, denoiser.context_length + 1), 5), None, torch.tensor([[0, 0]]))


# ---- predictions


class Wrong:
    """A denoiser that breaks one promise; everything else is that of the one it stands for."""

    def __init__(self, denoiser, log_probs):
        self.__dict__.update(denoiser=denoiser, log_probs=lambda *given: log_probs(denoiser, *given))

    def __getattr__(self, name):
        return getattr(self.denoiser, name)


def shifted(denoiser, ids, mask, queries):
    """Reads the head one position off."""
    return denoiser.log_probs(ids, mask, (queries + torch.tensor([0, 1])).clamp(max=ids.shape[1] - 1))


def transposed(denoiser, ids, mask, queries):
    return denoiser.log_probs(ids, mask, queries).T


def unnormalised(denoiser, ids, mask, queries):
    return denoiser.log_probs(ids, mask, queries) + 1


def raising(denoiser, ids, mask, queries):
    raise AttributeError("'tuple' object has no attribute 'last_hidden_state'")


@pytest.mark.parametrize(
    ("log_probs", "message"),
    [
        (shifted, "other predictions when it is called as a whole"),
        (transposed, "predictions have shape"),
        (unnormalised, "do not add up to 1"),
        (raising, "cannot be used in this way .AttributeError"),
    ],
)
def test_a_head_that_is_read_wrongly(bert, log_probs, message):
    denoiser = load(bert, "masked_lm")
    with pytest.raises(InputError, match=message):
        gate.check(Wrong(denoiser, log_probs), bert)


def test_a_bidirectional_model_is_no_judge_and_a_causal_one_no_masked_model(bert, gpt2):
    judge, masked = load(gpt2, "autoregressive"), load(bert, "masked_lm")
    for denoiser, folder, kind, message in (
        (masked, bert, "causal", "see the tokens that follow; it is no autoregressive model"),
        (judge, gpt2, "mask", "do not see the tokens that follow; it is no bidirectional model"),
    ):
        denoiser.corruption, denoiser.mask_id = kind, 3
        with pytest.raises(InputError, match=message):
            gate.check(denoiser, folder)


def test_bert_as_a_judge_is_refused(bert):
    """transformers would make a bidirectional "causal" model of it without a word."""
    assert "no autoregressive model" in refused(bert, "autoregressive")


def test_predictions_that_change_with_padding(tmp_path):
    """FNet mixes all positions, padding too: its numbers would depend on what else is in a batch."""
    config = t.FNetConfig(vocab_size=23, hidden_size=16, num_hidden_layers=1, intermediate_size=24)
    torch.manual_seed(0)
    model = t.FNetForMaskedLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.5)
    assert "change with padding" in refused(save(tmp_path / "fnet", model), "masked_lm")


def test_a_class_that_reaches_its_body_in_another_way(tmp_path):
    """OPT calls its decoder, not its body, so that the head sees every position: the right ones are taken."""
    denoiser = load(save(tmp_path / "opt", odd_model("opt")), "autoregressive")
    ids, queries = torch.arange(4, 12)[None], torch.tensor([[0, 3], [0, 6], [0, 1]])
    logits = denoiser.model(input_ids=ids).logits.log_softmax(-1)
    assert torch.allclose(denoiser.log_probs(ids, None, queries), logits[0, [2, 5, 0]], atol=1e-5)


@pytest.mark.parametrize("family", ["llada", "qwen3_diffusion"])
def test_a_tied_head_that_is_another(tmp_path, family):
    folder = tmp_path / "w"
    tiny.write_transformers(folder, "illada" if family == "llada" else "qwen3")
    weights = load_file(folder / "model.safetensors")
    row = {"mask_id": 3} if family == "llada" else {}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    load(folder, family, **row)
    weights["lm_head.weight"] += 1
    save_file(weights, folder / "model.safetensors")
    assert "is not the embedding" in refused(folder, family, **row)


# ---- settings of a wrong type


@pytest.mark.parametrize(
    "changes",
    [
        {"n_layers": "2"},
        {"n_layers": 2.0},
        {"n_heads": 0},
        {"n_heads": 3},
        {"rope_theta": "10000"},
        {"rms_norm_eps": ...},
    ],
)
def test_settings_of_a_wrong_type(llada, changes):
    edit(llada / "config.json", **changes)
    assert "cannot be loaded as config.json says" in refused(llada)


def test_a_text_that_looks_like_a_truth_value(llada):
    edit(llada / "config.json", weight_tying="false")
    assert "weight_tying = 'false' is text" in refused(llada)


# ---- text that looks like something else


def test_control_tokens_in_a_text_are_text(llada, gpt2):
    """No EOS in the middle of an answer, no mask in a prompt; other prompts are as they were."""
    for denoiser in (load(llada), load(gpt2, "autoregressive")):
        control = {*denoiser.eos_ids, denoiser.mask_id}
        assert not control & set(denoiser.encode_answer("the <|endoftext|> <|mdm_mask|> cat"))
        plain, spelt = (denoiser.encode_prompt(f"the {text} cat") for text in ("dog", "<|mdm_mask|>"))
        assert 3 not in spelt and spelt[:2] == plain[:2] and spelt[-2:] == plain[-2:]


def test_an_eos_that_a_tokenizer_appends_is_no_part_of_the_prompt(gpt2):
    tokenizer = t.PreTrainedTokenizerFast.from_pretrained(gpt2)
    tokenizer.chat_template = None
    ends = TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 1)])
    tokenizer._tokenizer.post_processor = ends
    (gpt2 / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(gpt2)
    denoiser = load(gpt2, "autoregressive")
    assert denoiser.tokenizer("the cat").input_ids[-1] == 1 and 1 not in denoiser.encode_prompt("the cat")


def test_words_behind_a_gap_in_the_vocabulary_are_words(tmp_path):
    """A tokenizer whose ids are not 0 … n − 1: `dog` is 22, and no token is 8."""
    folder = tiny.write(tmp_path / "w")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["dog"] = 22
    del tokenizer["model"]["vocab"]["[UNK]"]
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != "[UNK]"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    edit(folder / "tokenizer_config.json", unk_token=None)
    denoiser = load(folder)
    texts, classes = token_classes.vocabulary(denoiser)
    assert (texts[22], classes[22], texts[8], classes[8]) == ("dog", "content", "<unused 8>", "special")


def test_a_mask_that_is_an_end(llada):
    edit(llada / "config.json", mask_token_id=1)
    assert "is also an EOS" in refused(llada)


# ---- files of the folder


def test_weights_of_other_layouts_are_passed_over(llada):
    weights = (llada / "model.safetensors").read_bytes()
    for name in ("._model.safetensors", "consolidated.safetensors", "adapter_model.safetensors"):
        (llada / name).write_bytes(b"not a model" if name.startswith("._") else weights)
    assert [path.name for path in weight_files(llada)] == ["model.safetensors"]
    load(llada)
    (llada / "model.safetensors").unlink()
    with pytest.raises(InputError, match="found adapter_model.safetensors, which is no whole model"):
        weight_files(llada)


def test_a_linked_folder_holds_its_source_and_nothing_else(tmp_path):
    """From a checkpoint with an index to one without: the old index and template do not stay behind."""
    target = tmp_path / "model"
    link_checkpoint(Path(shutil.copytree(LLADA, tmp_path / "sharded")), target, {})
    assert (target / "model.safetensors.index.json").exists()
    new = tiny.write(tmp_path / "new")
    (new / "chat_template.jinja").unlink()
    link_checkpoint(new, target, {})
    assert {path.name for path in target.iterdir()} == {path.name for path in new.iterdir()} | {"provenance.json"}
    assert all(path.resolve().parent == new for path in target.iterdir() if path.is_symlink())
