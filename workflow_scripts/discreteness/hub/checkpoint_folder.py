"""Which files of a checkpoint folder are used; links to them for the workflow, with their hashes recorded."""

import hashlib
import json
import os
from fnmatch import fnmatch
from pathlib import Path

from tqdm import tqdm

from discreteness.core.errors import InputError
from discreteness.core.io import write_json

# The only files of a checkpoint that are used, besides *.safetensors; code and pickled weights are never used.
SETTINGS_FILES = ("config.json", "generation_config.json", "model.safetensors.index.json")
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "dict.txt", "emoji.json", "byte_maps.json"),
    *("*.model", "*.tiktoken", "*.spm", "prophetnet.tokenizer", "chat_template.jinja", "chat_template.json"),
)
# Files with a vocabulary; a tokenizer needs one of them
VOCABULARY_FILES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "dict.txt",
    "*.model",
    "*.tiktoken",
    "*.spm",
    "*.tokenizer",
)
# Files next to a model's weights: weights in another layout, or of something else
OTHER_WEIGHTS = ("consolidated*", "adapter_*", "optimizer*", ".*")


def is_text_file(name: str) -> bool:
    """Whether a checkpoint's file of this name holds settings or a tokenizer that a loader reads."""
    hidden = name.startswith(".")
    return not hidden and any(fnmatch(name, pattern) for pattern in (*SETTINGS_FILES, *TOKENIZER_FILES))


def is_weight_file(name: str) -> bool:
    """Whether a file of this name holds a model's weights, as far as a name tells."""
    return name.endswith(".safetensors") and not any(fnmatch(name, pattern) for pattern in OTHER_WEIGHTS)


def is_used(name: str) -> bool:
    """Whether a checkpoint's file of this name may be read by a job."""
    return is_text_file(name) or is_weight_file(name)


def text_files(folder: Path) -> list[Path]:
    """The settings and tokenizer files of a checkpoint folder, sorted."""
    return sorted(path for path in folder.iterdir() if is_text_file(path.name) and path.is_file())


def read_json(path: Path) -> dict:
    """A JSON object from a checkpoint file; InputError when it is missing or malformed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a checkpoint, sorted.

    Those named by the index if there is one, else `model.safetensors` alone if it exists, else all files with a model's
    weights (`is_weight_file`). Pickled weights are never read. Raises InputError where there are no such files.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        files = read_json(index).get("weight_map")
        if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
            raise InputError(f"{index}: expected a mapping `weight_map` of tensor names to file names")
        names = sorted(set(files.values()))
        for name in names:
            if Path(name).name != name:
                raise InputError(f"{index}: weight_map names {name!r}, which is not a file of this folder")
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors") if is_weight_file(path.name))
        if "model.safetensors" in names:
            names = ["model.safetensors"]
    files = [folder / name for name in names]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: named by the index but missing")
    if not files:
        pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        others = sorted(path.name for path in folder.glob("*.safetensors") if not path.name.startswith("."))
        reason = f" (found {others[0]}, which is no whole model in the Hugging Face layout)" if others else ""
        reason = f" (found {pickled[0]}: pickled weights are never loaded)" if pickled else reason
        raise InputError(f"{folder}: no *.safetensors weights{reason}")
    return files


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin(source: Path) -> dict:
    """The origin of a folder's files: the hub's repository and commit, or how they were trained; empty if unknown.

    Hashes, times, losses and the row of a download are left out, so that equal weights have equal records.
    """
    for name in ("downloaded.json", "training.json"):
        if (source / name).is_file():
            record = read_json(source / name)
            left_out = ("losses", "seconds", "sha256", "asked")
            return {name.removesuffix(".json"): {key: v for key, v in record.items() if key not in left_out}}
    return {}


def check_download(source: Path, hashes: dict[str, str]) -> None:
    """Raise InputError when a downloaded folder's files are no longer those that its `downloaded.json` records.

    hashes: file name -> SHA-256 of the files that are used. Recorded files that are not used only have to exist.
    """
    path = source / "downloaded.json"
    record = read_json(path) if path.is_file() else {}
    recorded = record.get("sha256")
    if recorded is None:
        return
    for name in sorted(hashes.keys() | recorded.keys()):
        unused = name not in hashes and (source / name).is_file()
        if not unused and hashes.get(name) != recorded.get(name):
            raise InputError(
                f"{source / name}: sha256 is {hashes.get(name, 'missing')}, downloaded.json says "
                f"{recorded.get(name, 'nothing of it')} for revision {record.get('revision')}; "
                f"remove {path} to download it again"
            )


def link_checkpoint(source: Path, target: Path, expected: dict[str, str]) -> None:
    """Link the used files of the checkpoint folder `source` into `target` and record them in `provenance.json`.

    Files and links that `target` held before are removed. expected: file name -> SHA-256 stated in the model's row.
    `provenance.json` is written last: with it, `target` is complete. Raises InputError where a file is missing, or its
    hash differs from the one in the row or the one recorded at its download.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    files = [*text_files(source), *weight_files(source)]
    hashes = {path.name: sha256(path) for path in tqdm(files, desc="checking", unit="file")}
    for name, digest in expected.items():
        if hashes.get(name) != digest:
            raise InputError(f"{source / name}: sha256 is {hashes.get(name, 'missing')}, the model's row says {digest}")
    check_download(source, hashes)
    target.mkdir(parents=True, exist_ok=True)
    for path in [path for path in target.iterdir() if path.is_symlink() or not path.is_dir()]:
        path.unlink()  # links to an earlier source, and their record
    for path in files:
        os.symlink(path.resolve(), target / path.name)
    write_json({"source": source.as_posix(), **origin(source), "sha256": hashes}, target / "provenance.json")
