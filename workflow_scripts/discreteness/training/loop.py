"""Train a small language model, masked diffusion (arXiv 2406.07524, 2502.09992) or causal, and write it in the layout
of a published checkpoint."""

import logging
import time
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm
from transformers import LlamaModel

from discreteness.core.errors import InputError
from discreteness.core.io import write_json
from discreteness.core.randomness import key
from discreteness.denoisers.llada import llama_config
from discreteness.training.batches import Batch, draw, encode, learning_rate
from discreteness.training.export import export, export_causal, llada_config
from discreteness.training.rows import TrainingSettings
from discreteness.training.snapshot import PACE, Pace, Snapshot, identity
from discreteness.training.start import closed_form
from discreteness.training.tokenizer import MASK, train_tokenizer, word_tokenizer


class Network(torch.nn.Module):
    """The backbone class that checkpoints are loaded into, with an output head; bidirectional or causal."""

    def __init__(self, config: dict, seed: int, causal: bool = False):
        super().__init__()
        self.causal = causal
        llama = llama_config(config, Path())
        llama.is_causal = causal
        llama._attn_implementation = "eager"  # faster than the fused kernel for training on a CPU
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            self.backbone = LlamaModel(llama)
            self.lm_head = torch.nn.Linear(config["d_model"], config["vocab_size"], bias=False)
            for name, weight in self.named_parameters():
                if weight.dim() == 2 and "embed" not in name:
                    # unit-variance activations; additions to the residual stream are scaled down with depth
                    depth = 2 * config["n_layers"] if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
                    torch.nn.init.normal_(weight, std=(depth * weight.shape[1]) ** -0.5)
        for module in self.backbone.modules():
            if hasattr(module, "is_causal"):
                module.is_causal = causal

    def loss(self, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """Mean cross-entropy over the scored positions, nats; the head is applied to these positions only.

        A causal network predicts position i at i − 1.
        """
        hidden = self.backbone(input_ids=batch.inputs, use_cache=False).last_hidden_state
        hidden = hidden[:, :-1][batch.masked[:, 1:]] if self.causal else hidden[batch.masked]  # (M, d)
        targets = batch.targets[batch.masked]
        return torch.nn.functional.cross_entropy(self.lm_head(hidden), targets, label_smoothing=label_smoothing)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Name -> weights, as the loader names them."""
        return {name.removeprefix("backbone."): tensor for name, tensor in self.state_dict().items()}


def train(rows: pd.DataFrame, settings: dict, seed: int, output: Path, snapshots: Path, pace: Pace = PACE) -> dict:
    """Train on `rows` (columns prompt, answer) and write a checkpoint folder with `training.json`.

    settings: the keys of `TrainingSettings`. The same rows, settings, seed, library versions and thread count give
    the same weights on the same kind of processor, also after an interruption: training continues from the last
    snapshot in the folder `snapshots`, which is removed at the end. pace: how often snapshots are saved. Returns the
    record written to `training.json`. Raises InputError for a loss that is not finite.
    """
    chosen = TrainingSettings.read(settings, "train")
    rows = _sample(rows, chosen.rows, seed)
    make_tokenizer = word_tokenizer if chosen.tokenizer == "words" else train_tokenizer
    tokenizer = make_tokenizer([*rows["prompt"], *rows["answer"]], chosen.vocab_size)
    mask_id = tokenizer.convert_tokens_to_ids(MASK)
    corpus = encode(rows, tokenizer, chosen, mask_id)
    config = llada_config(chosen, len(tokenizer), mask_id, tokenizer.eos_token_id)
    network = Network(config, seed, chosen.objective == "causal")
    if chosen.start == "closed_form":
        closed_form(network, corpus, seed)
    optimiser = _optimiser(network, chosen)
    snapshot = Snapshot(snapshots, identity(rows, settings, seed), pace)
    record = snapshot.load(network, optimiser) or {"losses": [], "steps": 0, "seconds": 0.0}
    started = time.monotonic() - record["seconds"]
    network.train()
    for step in tqdm(range(record["steps"], chosen.steps), desc="training", unit="step", mininterval=5):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(chosen, step)
        loss = network.loss(draw(corpus, chosen, seed, step), chosen.phase(step).label_smoothing)
        if not torch.isfinite(loss):
            raise InputError(f"training: the loss is {loss.item()} at step {step}; lower train.learning_rate")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        record["losses"].append(round(loss.item(), 4))
        record.update(steps=step + 1, seconds=round(time.monotonic() - started, 1))
        if snapshot.due():
            snapshot.save(network, optimiser, record)
            logging.getLogger("discreteness").info("step %d: loss %.3f", step + 1, _recent(record["losses"]))
    write = export_causal if network.causal else export
    write(network.tensors(), config, tokenizer, output)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    record = {
        "settings": settings,
        "seed": seed,
        "rows": len(rows),
        "threads": torch.get_num_threads(),
        "parameters": parameters,
        **record,
    }
    write_json(record, output / "training.json")
    snapshot.remove()
    return record


def _sample(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """At most `most` rows in their order; the choice depends only on the seed and the number of rows."""
    if most is None or most >= len(rows):
        return rows
    return rows.iloc[sorted(sorted(range(len(rows)), key=lambda row: key(seed, "training row", row))[:most])]


def _recent(losses: list[float]) -> float:
    return sum(losses[-50:]) / len(losses[-50:])


def _optimiser(network: Network, settings: TrainingSettings) -> torch.optim.AdamW:
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
