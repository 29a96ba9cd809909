"""LLaDA (arXiv 2502.09992): a masked diffusion transformer in transformers' own Llama class, made bidirectional.

The published checkpoints name the same tensors otherwise; nothing is permuted. `config.json` is read as plain JSON, so
its `auto_map` (remote code) is never followed.
"""

import re
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from discreteness.denoisers.checkpoints import read_config
from discreteness.denoisers.transformer import TransformerDenoiser, build_backbone, rotate_in_float32
from discreteness.errors import InputError

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
    try:
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
            rope_parameters={"rope_type": "default", "rope_theta": config["rope_theta"]},
            attention_bias=bias,
            mlp_bias=bias,
            tie_word_embeddings=tied,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
        )
    except KeyError as error:
        raise InputError(f"{path}: key {error.args[0]!r} is missing") from None


def load(row: dict, folder: Path, device: torch.device, dtype: torch.dtype) -> TransformerDenoiser:
    """Load a LLaDA checkpoint folder. row: may override `context_length` and `mask_id`."""
    config = read_config(folder, SUPPORTED)
    llama = llama_config(config, folder)
    backbone, head = build_backbone(LlamaModel, llama, folder, rename, dtype, device)
    if config.get("rope_full_precision", True) and dtype != torch.float32:
        rotate_in_float32(backbone)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    mask_id = row.get("mask_id", config.get("mask_token_id"))
    if mask_id is None:
        raise InputError(f"{folder / 'config.json'}: key 'mask_token_id' is missing")
    eos = [config.get("eos_token_id"), tokenizer.convert_tokens_to_ids("<|eot_id|>")]
    return TransformerDenoiser(
        backbone,
        head,
        tokenizer,
        mask_id=mask_id,
        eos_ids=tuple(dict.fromkeys(id_ for id_ in eos if id_ is not None)),
        context_length=row.get("context_length") or config["max_sequence_length"],
    )
