"""A published model's real shape with random weights, through the workflow's own loader and probe.

`python tests/benchmarks/bench_large.py [--prompts 100] [--layers 32] [--peak-tflops 989]` writes the weights of a
LLaDA-8B (16 GB in bfloat16) below `--folder`, loads them on the GPU where there is one, probes 100 prompts x 128 masks
and prints a Markdown table: load time, probing time, tokens/s, share of the card's bfloat16 peak, peak memory. Random
text of 24 to 200 tokens stands for the prompts. Fewer layers make a smaller model of the same width and vocabulary.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny
from discreteness.denoisers import load_denoiser
from discreteness.probing.probe import prepare, probe
from discreteness.workflow.jobs import peak_memory

SPAN, TOP_K = 128, 3
LLADA_8B = {
    "d_model": 4096,
    "n_heads": 32,
    "n_kv_heads": 32,
    "mlp_hidden_size": 12288,
    "max_sequence_length": 4096,
    "rope_theta": 500000.0,
    "vocab_size": 126464,
    "embedding_size": 126464,
}


def write(folder: Path, layers: int) -> int:
    """Write a checkpoint of LLaDA-8B's shape with random bfloat16 weights, a file a layer; returns its parameters."""
    settings = tiny.config(**LLADA_8B, n_layers=layers)
    (folder / "config.json").write_text(json.dumps(settings))
    tiny.tokenizer().save_pretrained(folder)
    count, places = 0, {}
    parts = [{**settings, "n_layers": 0}, *({**settings, "first_layer": n, "n_layers": 1} for n in range(layers))]
    for number, part in enumerate(parts):
        made = {}
        for name, shape in tiny.shapes(part).items():
            normal = torch.randn(shape, dtype=torch.bfloat16) * shape[-1] ** -0.5
            made[name] = normal if len(shape) > 1 else torch.ones(shape, dtype=torch.bfloat16)
            count += made[name].numel()
        file = f"model-{number + 1:05d}-of-{len(parts):05d}.safetensors"
        save_file(made, folder / file)
        places.update(dict.fromkeys(made, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return count


def questions(n: int) -> pd.DataFrame:
    """n prompts of random words."""
    draw = random.Random(0)
    prompts = [" ".join(draw.choices(tiny.WORDS, k=draw.randint(24, 200))) for _ in range(n)]
    columns = {"prompt_id": [f"random-{i:05d}" for i in range(n)], "row": range(n), "prompt": prompts}
    return pd.DataFrame({**columns, "answer": "the cat runs", "source": "random"})


def main() -> None:
    """Write, load, probe, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--peak-tflops", type=float, default=None, help="of the device, bfloat16; 989 for an H100")
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        parameters = write(Path(name), arguments.layers)
        start = time.perf_counter()
        denoiser = load_denoiser({"family": "llada", "path": name, "dtype": "bfloat16"})
        loaded = time.perf_counter() - start
        rows = questions(arguments.prompts)
        task = prepare(denoiser, rows, rows, SPAN, TOP_K, 0)
        if denoiser.device.type == "cuda":  # the first batch compiles kernels
            probe(denoiser, prepare(denoiser, rows, rows[:2], SPAN, TOP_K, 0), SPAN, TOP_K, arguments.batch_tokens)
        start = time.perf_counter()
        probe(denoiser, task, SPAN, TOP_K, arguments.batch_tokens)
        seconds = time.perf_counter() - start
    tokens = sum(len(prompt) + SPAN for prompt in task.prompts)
    head = LLADA_8B["embedding_size"] * LLADA_8B["d_model"]
    # 2 operations a weight and token; the embedding is looked up, the head sees the masks only
    operations = 2 * (tokens * (parameters - 2 * head) + arguments.prompts * SPAN * head)
    rate = operations / seconds / 1e12
    share = f"{rate / arguments.peak_tflops:.0%}" if arguments.peak_tflops else "not asked"
    threads = f"CPU, {torch.get_num_threads()} threads"
    where = torch.cuda.get_device_name() if denoiser.device.type == "cuda" else threads
    print(f"LLaDA-8B's shape, {arguments.layers} layers, {parameters / 1e9:.2f} billion random weights, {where}\n")
    print("| load, s | probe, s | prompts | tokens/s | Tflop/s | share of peak | peak memory, GB |")
    print("|---|---|---|---|---|---|---|")
    memory = peak_memory(denoiser.device) / 1e9
    numbers = f"{loaded:.1f} | {seconds:.1f} | {arguments.prompts} | {tokens / seconds:.0f} | {rate:.2f}"
    print(f"| {numbers} | {share} | {memory:.1f} |")


if __name__ == "__main__":
    main()
