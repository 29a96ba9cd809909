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


def shapes(settings: dict) -> dict[str, tuple[int, ...]]:
    """Every tensor of a LLaDA checkpoint -> its shape; layers from `first_layer` on, alone, where that is given."""
    width, hidden, vocabulary = settings["d_model"], settings["mlp_hidden_size"], settings["embedding_size"]
    first = settings.get("first_layer")
    made = {}
    if first is None:
        made = {
            "model.transformer.wte.weight": (vocabulary, width),
            "model.transformer.ln_f.weight": (width,),
            "model.transformer.ff_out.weight": (vocabulary, width),
        }
    for layer in range(first or 0, (first or 0) + settings["n_layers"]):
        block = f"model.transformer.blocks.{layer}."
        for name in ("q_proj", "k_proj", "v_proj", "attn_out"):
            made[f"{block}{name}.weight"] = (width, width)
        for name in ("ff_proj", "up_proj"):
            made[f"{block}{name}.weight"] = (hidden, width)
        made[f"{block}ff_out.weight"] = (width, hidden)
        for name in ("attn_norm", "ff_norm"):
            made[f"{block}{name}.weight"] = (width,)
    return made


def tensors(settings: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under LLaDA's names."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes(settings).items():
        if len(shape) == 1:
            made[name] = torch.ones(shape)
        else:
            made[name] = torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
    made["model.transformer.ff_out.weight"] *= 3
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


def transformers_model(family: str, seed: int = 0):
    """A random model of a few thousand weights in the transformers class that a family is loaded into."""
    import transformers as t

    vocabulary = len(tokenizer())
    small = {"vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    made = {
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**small, intermediate_size=24, max_position_embeddings=64)),
        "modernbert": lambda: t.ModernBertForMaskedLM(
            t.ModernBertConfig(**small, intermediate_size=24, max_position_embeddings=64, pad_token_id=1)
        ),
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=64)
        ),
        "illada": lambda: t.LlamaForCausalLM(
            t.LlamaConfig(
                **small,
                intermediate_size=24,
                num_key_value_heads=1,
                max_position_embeddings=64,
                tie_word_embeddings=True,
                eos_token_id=1,
            )
        ),
        "qwen3": lambda: t.Qwen3ForCausalLM(
            t.Qwen3Config(
                **small,
                intermediate_size=24,
                num_key_value_heads=1,
                head_dim=8,
                max_position_embeddings=64,
                tie_word_embeddings=True,
            )
        ),
        "diffusion_gemma": lambda: t.DiffusionGemmaForBlockDiffusion(
            t.DiffusionGemmaConfig(
                text_config={
                    **small,
                    "intermediate_size": 24,
                    "num_key_value_heads": 1,
                    "head_dim": 8,
                    "global_head_dim": 8,
                    "num_experts": 4,
                    "top_k_experts": 2,
                    "moe_intermediate_size": 8,
                    "sliding_window": 16,
                    "layer_types": ["sliding_attention", "full_attention"],
                    "max_position_embeddings": 64,
                    "eos_token_id": 1,
                    "pad_token_id": 1,
                },
                vision_config={
                    "model_type": "gemma4_vision",
                    "hidden_size": 8,
                    "intermediate_size": 8,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 1,
                    "num_key_value_heads": 1,
                    "head_dim": 8,
                    "position_embedding_size": 16,
                },
                canvas_length=8,
            )
        ),
    }[family]
    torch.manual_seed(seed)
    model = made().eval()
    with torch.no_grad():  # larger than at the usual start, so that predictions differ from place to place
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.5)
    return model


def write_transformers(folder: Path, family: str, seed: int = 0):
    """Write such a model in the layout of a hub snapshot; returns it."""
    model = transformers_model(family, seed)
    model.save_pretrained(folder)
    if family == "illada":
        own = {
            "model_type": "illada",
            "architectures": ["ILLaDAForCausalLM"],
            "rope_theta": 10000.0,
            "rope_scaling": None,
        }
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **own}))
    tokens = tokenizer()
    tokens.mask_token = "<|mdm_mask|>"
    tokens.save_pretrained(folder)
    return model
