"""Write a trained network in the layout of a published checkpoint, LLaDA's or Llama's."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from discreteness.core.io import atomic, hidden_folder, put, write_json
from discreteness.denoisers.llada import rename
from discreteness.training.rows import TrainingSettings

RMS_NORM_EPS, ROPE_THETA = 1e-5, 10000.0


def llada_config(settings: TrainingSettings, vocab_size: int, mask_id: int, eos_id: int) -> dict:
    """config.json with the published key set."""
    return {
        "activation_type": "silu",
        "alibi": False,
        "alibi_bias_max": 8.0,
        "architectures": ["LLaDAModelLM"],
        "attention_dropout": 0.0,
        "attention_layer_norm": False,
        "attention_layer_norm_with_affine": True,
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "llama",
        "d_model": settings.d_model,
        "embedding_dropout": 0.0,
        "embedding_size": vocab_size,
        "eos_token_id": eos_id,
        "flash_attention": False,
        "include_bias": False,
        "include_qkv_bias": False,
        "init_device": "meta",
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "mask_token_id": mask_id,
        "max_sequence_length": settings.max_sequence_length,
        "mlp_hidden_size": settings.mlp_hidden_size,
        "mlp_ratio": 4,
        "model_type": "llada",
        "multi_query_attention": None,
        "n_heads": settings.n_heads,
        "n_kv_heads": settings.n_heads,
        "n_layers": settings.n_layers,
        "pad_token_id": eos_id,
        "residual_dropout": 0.0,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": ROPE_THETA,
        "scale_logits": False,
        "use_cache": False,
        "vocab_size": vocab_size,
        "weight_tying": False,
    }


def llada_names(n_layers: int) -> dict[str, str]:
    """Name in the network -> name in a LLaDA checkpoint: the inverse of the loader's renaming."""
    modules = ("attn_norm", "ff_norm", "q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out")
    names = [f"model.transformer.{module}.weight" for module in ("wte", "ln_f", "ff_out")]
    names += [f"model.transformer.blocks.{layer}.{module}.weight" for layer in range(n_layers) for module in modules]
    return {rename(name): name for name in names}


def export(tensors: dict[str, torch.Tensor], config: dict, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a masked model's weights (bfloat16), configuration and tokenizer; each file completely or not at all."""
    names = llada_names(config["n_layers"])
    _write({names[name]: tensor for name, tensor in tensors.items()}, config, tokenizer, folder)


def export_causal(
    tensors: dict[str, torch.Tensor], config: dict, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a causal model in Llama's own layout, which `AutoModelForCausalLM` reads. config: as `llada_config`'s."""
    llama = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config["d_model"],
        "intermediate_size": config["mlp_hidden_size"],
        "num_hidden_layers": config["n_layers"],
        "num_attention_heads": config["n_heads"],
        "num_key_value_heads": config["n_heads"],
        "max_position_embeddings": config["max_sequence_length"],
        "rms_norm_eps": config["rms_norm_eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]},
        "tie_word_embeddings": False,
        **{key: config[key] for key in ("vocab_size", "eos_token_id", "pad_token_id")},
    }
    renamed = {name if name == "lm_head.weight" else f"model.{name}": tensor for name, tensor in tensors.items()}
    _write(renamed, llama, tokenizer, folder)


def _write(tensors: dict[str, torch.Tensor], config: dict, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    weights = {name: tensor.detach().bfloat16().contiguous() for name, tensor in tensors.items()}
    with hidden_folder(folder / "tokenizer") as temporary:
        tokenizer.save_pretrained(temporary)
        for path in sorted(temporary.iterdir()):
            put(path, folder / path.name)
    with atomic(folder / "model.safetensors") as temporary:
        save_file(weights, temporary, metadata={"format": "pt"})
    ends = {key: config[key] for key in ("eos_token_id", "pad_token_id")}
    write_json(ends, folder / "generation_config.json")
    write_json(config, folder / "config.json")
