"""What a run leaves on the disk with the vocabulary of an 8B model: the workflow with a tiny model of that width.

Every file of `results` is counted by kind, with the temporary ones of the probe while they are there. Predictions are
those of random weights, which compress worse than a trained model's: an upper bound.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import tiny  # noqa: E402
from project import Project  # noqa: E402

LETTERS = "etaoinshrdlcumwfgypbvk"


def words(count: int) -> list[str]:
    """Made-up words of one to eleven letters, six on average, as long as a large vocabulary's tokens."""
    draw, found = random.Random(0), {}
    while len(found) < count:
        found["".join(draw.choices(LETTERS, k=draw.randint(3, 9)))] = None
    return list(found)


def write(folder: Path, vocabulary: list[str]) -> None:
    """A LLaDA checkpoint of that vocabulary with 16 random features."""
    folder.mkdir(parents=True)
    size = len(vocabulary)
    settings = tiny.config(vocab_size=size, embedding_size=size, max_sequence_length=512)
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(tiny.tensors(settings), folder / "model.safetensors")
    raw = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    start, end, *others = tiny.SPECIAL
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        unk_token="[UNK]",
        additional_special_tokens=others,
    )
    made.chat_template = tiny.tokenizer().chat_template
    made.save_pretrained(folder)


def run(folder: Path, vocab_size: int, prompts: int, others: int) -> dict[str, tuple[int, int]]:
    """Kind of file -> (bytes, files) after the run."""
    made = Project(folder)
    text = words(vocab_size - len(tiny.SPECIAL) - 1)
    write(folder / "weights/wide", [*tiny.SPECIAL, *text, "[UNK]"])
    draw = random.Random(1)
    rows = [
        {
            "conversations": [" ".join(draw.choices(text, k=20)), " ".join(draw.choices(text, k=160))],
            "source": "made up",
        }
        for _ in range(prompts)
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made.models = {"wide": {"family": "llada", "path": "weights/wide"}}
    made.decoders = {"random": {"order": "random", "temperature": 1.0, "forbid": ["mask"]}}
    made.config |= {
        "models": ["wide"],
        "shard_size": prompts,
        "probe": {"span": 128, "prompts": prompts, "batch_tokens": 600},
        "decode": {"decoders": ["random"], "steps": [1, 2], "span": 128, "prompts": others, "judge": None},
        "curve": {"prompts": others, "span": 128, "batch_tokens": 600},
    }
    made.config["decode"]["batch_tokens"] = 600
    made.config["language"]["decoders"] = ["random"]
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    made.snakemake("--cores", "1", "--notemp", timeout=None)
    found: dict[str, tuple[int, int]] = {}
    for path in sorted((folder / "results").rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(folder / "results").as_posix()
            kind = name.split("/")[0] if name.split("/")[0] in ("logs", "benchmarks", "figures") else name
            size, files = found.get(kind, (0, 0))
            found[kind] = (size + path.stat().st_size, files + 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=126_464)
    parser.add_argument("--prompts", type=int, default=10, help="of the probe")
    parser.add_argument("--others", type=int, default=4, help="of the curve and the decoder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder, "run"), options.vocabulary, options.prompts, options.others)
    print("| file | files | bytes |\n|---|---|---|")
    for kind, (size, files) in found.items():
        print(f"| {kind} | {files} | {size:,} |")


if __name__ == "__main__":
    main()
