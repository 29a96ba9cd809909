"""A LLaDA-layout checkpoint of a few kilobytes, with random weights: for everything that needs a real one."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = "the a of cat dog runs sleeps fast slow red blue . , ? what does do say".split()
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|eot_id|>", "<|mdm_mask|>"]


def config(**changes) -> dict:
    """A config.json with LLaDA's keys, changed as asked."""
    vocabulary = len(SPECIAL) + len(WORDS) + 1
    base = {
        "model_type": "llada",
        "block_type": "llama",
        "activation_type": "silu",
        "layer_norm_type": "rms",
        "rope": True,
        "alibi": False,
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "n_kv_heads": 2,
        "mlp_hidden_size": 24,
        "mlp_ratio": 4,
        "max_sequence_length": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": vocabulary,
        "embedding_size": vocabulary,
        "weight_tying": False,
        "include_bias": False,
        "mask_token_id": 3,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    return {**base, **changes}


def tensors(settings: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under LLaDA's names."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    width, hidden, vocabulary = settings["d_model"], settings["mlp_hidden_size"], settings["embedding_size"]
    made = {
        "model.transformer.wte.weight": normal(vocabulary, width),
        "model.transformer.ln_f.weight": torch.ones(width),
        "model.transformer.ff_out.weight": 3 * normal(vocabulary, width),
    }
    for layer in range(settings["n_layers"]):
        block = f"model.transformer.blocks.{layer}."
        for name in ("q_proj", "k_proj", "v_proj", "attn_out"):
            made[f"{block}{name}.weight"] = normal(width, width)
        for name in ("ff_proj", "up_proj"):
            made[f"{block}{name}.weight"] = normal(hidden, width)
        made[f"{block}ff_out.weight"] = normal(width, hidden)
        for name in ("attn_norm", "ff_norm"):
            made[f"{block}{name}.weight"] = torch.ones(width)
    return made


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, a chat template, the four special tokens."""
    vocabulary = {word: id_ for id_, word in enumerate([*SPECIAL, *WORDS, "[UNK]"])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[1],
        unk_token="[UNK]",
        additional_special_tokens=SPECIAL[2:],
    )
    made.chat_template = "<|startoftext|>{{ messages[0]['content'] }}<|eot_id|>"
    return made


def write(folder: Path, seed: int = 0, edit=None, **changes) -> Path:
    """Write the checkpoint; `edit(tensors)` may change the weights, `changes` the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config(**changes)
    (folder / "config.json").write_text(json.dumps(settings))
    made = tensors(config(), seed)
    if edit:
        edit(made)
    save_file(made, folder / "model.safetensors")
    tokenizer().save_pretrained(folder)
    return folder
