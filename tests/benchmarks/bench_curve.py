"""Time of an information curve against one state at a time with the output head at all positions, at equal output.

`python tests/benchmarks/bench_curve.py [--model docs-base] [--prompts 100] [--threads 1]` prints a Markdown table. All
ways score the same states and their tables are compared first. The whole measurement is timed for the batched ways;
the ways that take one state at a time are timed on every `--every`-th state and scaled up.
"""

import argparse
import time

import numpy as np
import torch
from bench_probe import HeadEverywhere

from discreteness.curves.estimate import LEVELS, collect, mask_for_curve, prepare, score
from discreteness.datasets import load_dataset
from discreteness.datasets.prompts import select_prompts
from discreteness.denoisers import load_denoiser
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml

SPAN = 128


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="docs-base")
    parser.add_argument("--dataset", default="docs")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--mode", default="padded", choices=["answer", "padded"])
    parser.add_argument("--levels", type=int, default=LEVELS)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    row = read_yaml(ROOT / "config" / "models.yaml")[arguments.model]
    path = ROOT / (row.get("path") or f"results/models/{arguments.model}")
    native, usual = (load_denoiser({**row, "path": path}, "cpu") for _ in range(2))
    usual.__class__ = HeadEverywhere
    rows = load_dataset(arguments.dataset, read_yaml(ROOT / "config" / "datasets.yaml")[arguments.dataset])
    references = prepare(native, rows, select_prompts(rows, arguments.prompts, 0, 0), SPAN, arguments.mode)
    masked_answers = mask_for_curve(references, 0, levels=arguments.levels)
    some = masked_answers[:: arguments.every]
    ways = {
        "batched, head at the masks (this workflow)": (native, arguments.batch_tokens, masked_answers),
        "batched, head everywhere": (usual, arguments.batch_tokens, masked_answers),
        "one state at a time, head at the masks": (native, 1, some),
        "one state at a time, head everywhere": (usual, 1, some),
    }
    seconds, reference = {}, None
    for name, (denoiser, tokens, chosen) in ways.items():
        start = time.perf_counter()
        table = collect(score(denoiser, references, chosen, tokens), references)
        seconds[name] = (time.perf_counter() - start) * len(masked_answers) / len(chosen)
        table = table.set_index(["prompt_id", "replicate", "visible", "position"])["answer_logprob"]
        reference = table if reference is None else reference
        assert np.allclose(table, reference[table.index], atol=2e-4)
    slowest = max(seconds.values())
    print(
        f"{arguments.model} on {arguments.dataset}: {len(references.prompts)} answers ({arguments.mode}), "
        f"{len(masked_answers)} states, {len(reference)} records, {arguments.threads} threads\n"
    )
    print("| way | whole curve, s | ratio |\n|---|---|---|")
    for name, taken in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"| {name} | {taken:.1f} | {slowest / taken:.2f} |", flush=True)


if __name__ == "__main__":
    main()
