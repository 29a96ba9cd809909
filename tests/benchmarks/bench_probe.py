"""Time of a probe against one prompt at a time with the output head at all positions, at equal output.

`python tests/benchmarks/bench_probe.py [--model docs-base] [--prompts 100]` prints a Markdown table. Both ways use the
same weights, compute the same numbers from the distributions at the masks, and their outputs are compared first.
"""

import argparse
import time

import numpy as np
import torch

from discreteness.core.scoring import run_batches
from discreteness.datasets import load_dataset
from discreteness.datasets.prompts import select_prompts
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.transformer import TransformerDenoiser
from discreteness.probing.probe import predict, prepare, probe
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml

SPAN, TOP_K = 128, 3


class HeadEverywhere(TransformerDenoiser):
    """The usual way: logits and softmax at every position of the sequence, then a look at the masks."""

    @torch.inference_mode()
    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`."""
        hidden = self.backbone(input_ids=token_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        everywhere = torch.log_softmax(hidden.float() @ self.head.T, -1)  # (B, L, V)
        rows, positions = queries.unbind(-1)
        return everywhere[rows, positions]


def timed(run) -> tuple[float, tuple]:
    """Best of three, seconds."""
    best, result = float("inf"), None
    for _ in range(3):
        start = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - start)
    return best, result


def forward_only(denoiser, task, batch_tokens):
    """Only the predictions, without describing them."""
    lengths = [len(prompt) + SPAN for prompt in task.prompts]

    def run(batch):
        predict(denoiser, task, batch, SPAN)

    return list(run_batches(run, lengths, batch_tokens, name="prompts", unit="prompt"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="docs-base")
    parser.add_argument("--dataset", default="docs")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    row = read_yaml(ROOT / "config" / "models.yaml")[arguments.model]
    path = row.get("path") or f"results/models/{arguments.model}"
    native = load_denoiser({**row, "path": ROOT / path}, "cpu")
    usual = load_denoiser({**row, "path": ROOT / path}, "cpu")
    usual.__class__ = HeadEverywhere
    rows = load_dataset(arguments.dataset, read_yaml(ROOT / "config" / "datasets.yaml")[arguments.dataset])
    chosen = select_prompts(rows, arguments.prompts, 0, 0)
    task = prepare(native, rows, chosen, SPAN, TOP_K, 0)
    ways = {
        "one prompt at a time, head everywhere": (usual, 1),
        "one prompt at a time, head at the masks": (native, 1),
        "batched, head everywhere": (usual, arguments.batch_tokens),
        "batched, head at the masks (this workflow)": (native, arguments.batch_tokens),
    }
    baseline = None
    print(
        f"{arguments.model} on {arguments.dataset}: {len(chosen)} prompts x {SPAN} masks, {arguments.threads} threads\n"
    )
    print("| way | predictions, s | ratio | whole probe, s | ratio |\n|---|---|---|---|---|")
    for name, (denoiser, tokens) in ways.items():
        predicting, _ = timed(lambda d=denoiser, t=tokens: forward_only(d, task, t))
        whole, (positions, top, _) = timed(lambda d=denoiser, t=tokens: probe(d, task, SPAN, TOP_K, t))
        if baseline is None:
            baseline = predicting, whole, positions, top
        numbers = positions.select_dtypes("number").columns
        assert np.allclose(positions[numbers], baseline[2][numbers], atol=2e-5, rtol=1e-4, equal_nan=True)
        assert np.allclose(top["probability"], baseline[3]["probability"], atol=1e-5)
        ratios = baseline[0] / predicting, baseline[1] / whole
        print(f"| {name} | {predicting:.2f} | {ratios[0]:.2f} | {whole:.2f} | {ratios[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
