"""LLaDA (arXiv 2502.09992) and iLLaDA: masked diffusion in transformers' own Llama class, made bidirectional.

LLaDA's checkpoints name the same tensors otherwise, nothing is permuted; iLLaDA's have Llama's names of tensors and of
settings. `config.json` is read as plain JSON, so its `auto_map` (remote code) is never followed.
"""

import re
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from discreteness.core.errors import InputError
from discreteness.denoisers.base import within_head
from discreteness.denoisers.checkpoints import (
    load_tokenizer,
    mask_id_of,
    read_config,
    required,
    rope_theta,
    shape_settings,
)
from discreteness.denoisers.rows import LoadingRow
from discreteness.denoisers.transformer import (
    TransformerDenoiser,
    build_backbone,
    rotate_in_float32,
    without_prefix,
)

# What a Llama model can express; any other value of these keys changes the arithmetic.
SUPPORTED = {
    "model_type": ("llada",),
    "block_type": ("llama",),
    "activation_type": ("silu",),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "bias_for_layer_norm": (False, None),
    "attention_layer_norm": (False,),
    "input_emb_norm": (False,),
    "scale_logits": (False,),
    "alibi": (False,),
    "rope": (True,),
    "block_group_size": (1,),
}

# The same for iLLaDA, whose code has LayerNorm and dropout as options and no other rotary embedding.
ILLADA_SUPPORTED = {
    "hidden_act": ("silu",),
    "layer_norm_eps": (None,),
}

_NAMES = {
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}
_BLOCK = re.compile(rf"^model\.transformer\.blocks\.(\d+)\.({'|'.join(_NAMES)})\.(weight|bias)$")
_TOP = {
    "model.transformer.wte.weight": "embed_tokens.weight",
    "model.transformer.ln_f.weight": "norm.weight",
    "model.transformer.ff_out.weight": "lm_head.weight",
}


def rename(name: str) -> str:
    """A tensor's name in LLaDA's checkpoints -> its name in a Llama backbone; unknown names stay as they are."""
    if match := _BLOCK.match(name):
        layer, part, kind = match.groups()
        return f"layers.{layer}.{_NAMES[part]}.{kind}"
    return _TOP.get(name, name)


def llama_config(config: dict, folder: Path) -> LlamaConfig:
    """The Llama configuration that computes what this LLaDA `config.json` describes.

    Raises InputError naming the key of any setting that Llama cannot express.
    """
    path = folder / "config.json"
    bias, tied = bool(config.get("include_bias")), bool(config.get("weight_tying"))
    if bias and not tied:
        raise InputError(f"{path}: include_bias = True is supported only with weight_tying = True")
    if config.get("include_qkv_bias") and not bias:
        raise InputError(f"{path}: include_qkv_bias = True is supported only with include_bias = True")
    with required(path):
        heads, width = config["n_heads"], config["d_model"]
        return LlamaConfig(
            vocab_size=config.get("embedding_size") or config["vocab_size"],
            hidden_size=width,
            intermediate_size=config.get("mlp_hidden_size") or config["mlp_ratio"] * width,
            num_hidden_layers=config["n_layers"],
            num_attention_heads=heads,
            num_key_value_heads=1 if config.get("multi_query_attention") else config.get("n_kv_heads") or heads,
            max_position_embeddings=config["max_sequence_length"],
            rms_norm_eps=config["rms_norm_eps"],
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta(config, path)},
            attention_bias=bias,
            mlp_bias=bias,
            tie_word_embeddings=tied,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )


def illada_config(config: dict, folder: Path) -> LlamaConfig:
    """The Llama configuration that computes what this iLLaDA `config.json` describes."""
    path = folder / "config.json"
    with required(path):
        return LlamaConfig(
            **shape_settings(config),
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta(config, path)},
            attention_bias=config.get("attention_bias", False),
            mlp_bias=config.get("mlp_bias", False),
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a LLaDA or iLLaDA checkpoint folder.

    row: `mask_id` (needed for iLLaDA, whose config.json has none) and `context_length` override config.json; `gpus`
    spreads the layers. LLaDA rotates queries and keys in float32 also where its weights are bfloat16, iLLaDA does not.
    """
    config = read_config(folder, {})
    mask_id = mask_id_of(row, config, folder / "config.json")
    if "ILLaDAForCausalLM" in (config.get("architectures") or ()):
        read_config(folder, ILLADA_SUPPORTED)
        llama, renamed, full_precision = illada_config(config, folder), without_prefix, False
        context = llama.max_position_embeddings
    else:
        read_config(folder, SUPPORTED)
        llama, renamed, full_precision = llama_config(config, folder), rename, config.get("rope_full_precision", True)
        context = config["max_sequence_length"]
    backbone, head = build_backbone(LlamaModel, llama, folder, renamed, dtype, device, row.gpus)
    if full_precision and dtype != torch.float32:
        rotate_in_float32(backbone)
    tokenizer = load_tokenizer(folder, PreTrainedTokenizerFast)
    with required(folder / "config.json"):
        end = config["eos_token_id"]
    return TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=(end, *within_head(head.shape[0], tokenizer.get_vocab().get("<|eot_id|>"))),
        context_length=row.context_length or context,
    )
