"""Time of decoding against the transformer alone, and against the published way, at equal output.

`python tests/benchmarks/bench_decode.py [--shape small|8b] [--device cpu|cuda]` prints a Markdown table. The published
way passes every position through the output head and, at temperature 1, draws a float64 number for every entry of the
vocabulary at every position. The transformer alone is the limit of any sampler that takes the same steps. The weights
are random: nothing here depends on their values. With `noise="reference"` the tokens must equal the published way's.
"""

import argparse
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaModel

from discreteness.decoding import decode
from discreteness.denoisers.transformer import TransformerDenoiser, rotate_in_float32

SHAPES = {  # width, layers, heads, feed-forward width, vocabulary, number format
    "small": (512, 8, 8, 1536, 32_000, torch.float32),
    "8b": (4096, 32, 32, 12_288, 126_464, torch.bfloat16),
}


class NoTokenizer:
    """What a denoiser asks of a tokenizer, for a model without text."""

    all_special_ids, added_tokens_decoder = (), {}

    def __len__(self) -> int:
        return 0


def random_denoiser(shape: str, device: torch.device) -> TransformerDenoiser:
    """A LLaDA-like model with random weights."""
    width, layers, heads, hidden, vocabulary, dtype = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        is_causal=False,
        dtype=dtype,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with device:
        backbone = LlamaModel(config)
        head = torch.randn(vocabulary, width) / width**0.5
    torch.set_default_dtype(torch.float32)
    for module in backbone.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    if dtype != torch.float32:
        rotate_in_float32(backbone)
    return TransformerDenoiser(
        backbone, head, NoTokenizer(), mask_id=vocabulary - 1, eos_ids=(vocabulary - 2,), context_length=2048
    )


@torch.inference_mode()
def published(denoiser, prompts, policy, span, seed):
    """The published way: all positions through the head, noise for all of them, one loop over blocks and steps."""
    device, mask = denoiser.device, denoiser.mask_id
    generator = torch.Generator().manual_seed(seed)
    x = torch.full((len(prompts), len(prompts[0]) + span), mask, device=device)
    x[:, :-span] = torch.tensor(prompts, device=device)
    blocks = span // policy["block_length"]
    for block in range(blocks):
        end = len(prompts[0]) + (block + 1) * policy["block_length"]
        for _ in range(policy["steps"] // blocks):
            hidden = denoiser.backbone(input_ids=x, use_cache=False).last_hidden_state
            logits = hidden.float() @ denoiser.head.T  # (B, L, V)
            noisy = logits
            if policy["temperature"] > 0:
                if device.type == "cpu":
                    uniform = torch.rand(logits.shape, dtype=torch.float64, generator=generator)
                else:
                    uniform = torch.rand(logits.shape, dtype=torch.float64, device=device)
                noisy = logits.double().exp() / (-uniform.log()) ** policy["temperature"]
            drawn = noisy.argmax(-1)
            confidence = logits.softmax(-1).gather(-1, drawn[..., None])[..., 0]
            confidence[:, end:] = -torch.inf
            confidence[x != mask] = -torch.inf
            best = confidence.topk(span // policy["steps"], -1).indices
            x.scatter_(-1, best, drawn.gather(-1, best))
    return x[:, -span:].cpu()


@torch.inference_mode()
def transformer_alone(denoiser, prompts, steps, span):
    """As many passes through the transformer, without the output head."""
    ids = torch.full((len(prompts), len(prompts[0]) + span), denoiser.mask_id, device=denoiser.device)
    for _ in range(steps):
        denoiser.backbone(input_ids=ids, use_cache=False)


def timed(runs: dict, repeats: int, device: torch.device) -> tuple[dict[str, float], dict]:
    """Median seconds and last result of each, taken in turn so that a slow moment hits all alike.

    With one thread on the CPU, processor time: what else the machine does then matters less.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times, results = {name: [] for name in runs}, {}
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            results[name] = run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}, results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--span", type=int, default=128)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--block-lengths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    denoiser = random_denoiser(arguments.shape, device)
    length, span, steps = arguments.prompt, arguments.span, arguments.steps
    prompts = torch.randint(0, denoiser.vocab_size - 2, (arguments.batch, length)).tolist()
    where = f"{arguments.threads} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(f"{arguments.shape}: {arguments.batch} prompts of {length} tokens, span {span}, {steps} steps, {where}\n")
    print(
        "| block | temperature | published, s | this workflow, s | reference noise, s | transformer alone, s | "
        "published / this | this / transformer |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for block_length in arguments.block_lengths:
        for temperature in (0.0, 1.0):
            row = {"order": "low_confidence", "temperature": temperature, "block_length": block_length, "steps": steps}
            runs = {
                "alone": lambda: transformer_alone(denoiser, prompts, steps, span),
                "this": lambda row=row: decode(denoiser, prompts, row, span),
                "reference": lambda row=row: decode(denoiser, prompts, row, span, noise="reference"),
                "published": lambda row=row: published(denoiser, prompts, row, span, 0),
            }
            if device.type == "cuda":
                timed(runs, 1, device)  # warm up
            took, outputs = timed(runs, arguments.repeats, device)
            if device.type == "cpu":  # elsewhere the published way draws on the device
                assert torch.equal(outputs["reference"].token_ids[:, 0], outputs["published"]), "different tokens"
            print(
                f"| {block_length} | {temperature:g} | {took['published']:.2f} | {took['this']:.2f} | "
                f"{took['reference']:.2f} | {took['alone']:.2f} | {took['published'] / took['this']:.2f} | "
                f"{took['this'] / took['alone']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
