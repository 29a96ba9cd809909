"""A denoiser made of a transformers backbone and an output head that sees queried positions only."""

from pathlib import Path

import accelerate
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from discreteness.core.errors import InputError
from discreteness.denoisers.base import Denoiser, check_finite, distinct, special_tokens
from discreteness.denoisers.checkpoints import Rename, check_memory, check_shapes, load_tensors, read_shapes

HEAD = "lm_head.weight"
FLOAT32_ROTARY = "sdpa_float32_rotary"


class TransformerDenoiser(Denoiser):
    """Bidirectional backbone (B, L) -> (B, L, d), float32 head (V, d) applied at the queries, softmax in float32.

    shift: the prediction for position i is read at i − 1 (a row's first token at itself), as Dream's checkpoints were
    trained.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        head: torch.Tensor,
        tokenizer: PreTrainedTokenizerBase,
        *,
        mask_id: int,
        eos_ids: tuple[int | None, ...],
        context_length: int,
        shift: bool = False,
    ):
        self.corruption = "mask"
        self.backbone = backbone.eval().requires_grad_(False)
        self.head = head.float()
        self.tokenizer = tokenizer
        self.mask_id = mask_id
        self.eos_ids = distinct(eos_ids)
        self.vocab_size = head.shape[0]
        self.context_length = context_length
        self.shift = int(shift)
        self.device = head.device
        self.special_ids = special_tokens(tokenizer, self.vocab_size, (*self.eos_ids, mask_id))

    accepts_mixtures = True

    @torch.inference_mode()
    def log_probs(self, token_ids, attention_mask, queries, mixture=None):
        """See `Denoiser.log_probs`.

        mixture: places (N, 2) of (row, position), token ids (N, k) and weights (N, k): these places are fed the
        weighted sum of the tokens' embeddings instead of one token's (soft masking).
        """
        queries = queries.to(self.device)
        mask = None if attention_mask is None else attention_mask.to(self.device)
        if mask is not None and mask.all():
            mask = None  # without padding, the fused attention kernel needs no mask
        hidden = self.backbone(
            **self._inputs(token_ids.to(self.device), mixture), attention_mask=mask, use_cache=False
        ).last_hidden_state  # (B, L, d)
        rows, positions = queries.unbind(-1)
        if self.shift:
            first = 0 if mask is None else mask.int().argmax(1)[rows]
            positions = torch.maximum(positions - self.shift, torch.as_tensor(first, device=positions.device))
        hidden = hidden[rows, positions].to(self.head.device)  # (Q, d)
        logits = hidden.float() @ self.head.T  # (Q, V)
        check_finite(logits, queries)
        return torch.log_softmax(logits, -1)

    def _inputs(self, token_ids: torch.Tensor, mixture) -> dict[str, torch.Tensor]:
        """The backbone's input: ids (B, L), or embeddings (B, L, d) where some places hold mixtures."""
        if mixture is None:
            return {"input_ids": token_ids}
        places, ids, weights = (part.to(self.device) for part in mixture)
        embed = self.backbone.get_input_embeddings()
        embedded = embed(token_ids)
        mixed = (weights[..., None] * embed(ids).float()).sum(1)  # (N, d)
        embedded[places[:, 0], places[:, 1]] = mixed.to(embedded.dtype)
        return {"inputs_embeds": embedded}


def without_prefix(name: str) -> str:
    """A tensor's name in a checkpoint of a whole language model -> its name in the backbone alone."""
    return name.removeprefix("model.")


def build_backbone(model_class: type[PreTrainedModel], config, folder: Path, rename: Rename, dtype, device, gpus=1):
    """Instantiate `model_class(config)` without weights and fill it from a checkpoint folder.

    Every parameter and persistent buffer is taken from the files, or loading is refused; nothing is initialised here.
    rename: checkpoint name -> name in the backbone, or `lm_head.weight` for the output head. gpus: with more than one,
    accelerate spreads the layers over the cards.
    Returns (backbone, head (V, d) float32); the head is the embedding where `config.tie_word_embeddings`.
    """
    config.is_causal = False
    with torch.device("meta"):
        backbone = model_class(config)
    expected = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    tied = config.tie_word_embeddings
    if not tied:
        expected[HEAD] = (config.vocab_size, config.hidden_size)
    shapes = read_shapes(folder)
    heads = {name: place for name, place in shapes.items() if rename(name) == HEAD} if tied else {}
    shapes = {name: place for name, place in shapes.items() if name not in heads}
    places = check_shapes(folder, shapes, expected, rename)
    check_memory(folder, shapes, dtype, device, gpus)
    tensors = load_tensors(places, dtype, "cpu" if gpus > 1 else device)
    head = tensors.pop(HEAD) if HEAD in tensors else tensors["embed_tokens.weight"]
    for name, (path, _) in heads.items():  # some checkpoints hold the tied head as well
        if not torch.equal(load_tensors({HEAD: (path, name)}, dtype, head.device)[HEAD], head):
            raise InputError(f"{path}: {name} is not the embedding, though config.json says that the two are tied")
    backbone.load_state_dict(tensors, strict=True, assign=True)
    # The rotary frequencies are computed, not stored; on the meta device they have no values.
    backbone.rotary_emb = type(backbone.rotary_emb)(config)
    for module in backbone.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    left = [name for name, tensor in [*backbone.named_parameters(), *backbone.named_buffers()] if tensor.is_meta]
    if left:
        raise InputError(f"{folder}: no values for {left[0]}")
    backbone = spread(backbone, dtype) if gpus > 1 else backbone.to(device)
    return backbone, head.float().to(device)


def spread(backbone: PreTrainedModel, dtype: torch.dtype, device_map: dict[str, str] | None = None, offload=None):
    """Place a model's layers on several devices with accelerate, whole layers each; by free memory without a map."""
    layers = list(backbone._no_split_modules or [])
    device_map = device_map or accelerate.infer_auto_device_map(backbone, no_split_module_classes=layers, dtype=dtype)
    return accelerate.dispatch_model(backbone, device_map=device_map, offload_dir=offload)


class Float32Rotary(nn.Module):
    """Keep a rotary embedding's cos and sin in float32 whatever the weights' dtype, as LLaDA computes them."""

    def __init__(self, rotary: nn.Module):
        super().__init__()
        self.rotary = rotary

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (B, L, d), position_ids (B, L) -> cos, sin, float32."""
        return self.rotary(x.float(), position_ids)


def _attention_float32_rotary(module, query, key, value, attention_mask, **kwargs):
    """Fused attention after casting the rotated queries and keys back to the weights' dtype."""
    sdpa = AttentionInterface()["sdpa"]
    return sdpa(module, query.to(value.dtype), key.to(value.dtype), value, attention_mask, **kwargs)


AttentionInterface.register(FLOAT32_ROTARY, _attention_float32_rotary)
AttentionMaskInterface.register(FLOAT32_ROTARY, sdpa_mask)


def rotate_in_float32(backbone: PreTrainedModel) -> None:
    """Switch a Llama-like backbone to float32 rotation of queries and keys (no effect on a float32 model)."""
    backbone.rotary_emb = Float32Rotary(backbone.rotary_emb)
    backbone.config._attn_implementation = FLOAT32_ROTARY
