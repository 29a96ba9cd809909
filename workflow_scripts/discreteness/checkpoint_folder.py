"""Put a model where the workflow looks for it: files linked, hashes recorded and compared with the row's."""

import hashlib
import os
from pathlib import Path

from tqdm import tqdm

from discreteness.errors import InputError
from discreteness.io import write_json

# The only files of a checkpoint that are used; code and pickled weights are not among them.
TEXT_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin(source: Path) -> dict:
    """What is known of how a folder's files came about: the hub's repository and commit, or how they were trained.

    Hashes, times, losses and how a download was asked for are left out, so that equal weights have equal records.
    """
    from discreteness.denoisers.checkpoints import read_json  # torch takes seconds, and downloads do without

    for name in ("downloaded.json", "training.json"):
        if (source / name).is_file():
            record = read_json(source / name)
            left_out = ("losses", "seconds", "sha256", "asked")
            return {name.removesuffix(".json"): {key: v for key, v in record.items() if key not in left_out}}
    return {}


def check_download(source: Path, found: dict[str, str]) -> None:
    """Raise InputError when a downloaded folder's files are no longer those that its `downloaded.json` records.

    found: file name -> SHA-256 of the files that are used. Recorded files that are not used need only be there.
    """
    from discreteness.denoisers.checkpoints import read_json

    path = source / "downloaded.json"
    record = read_json(path) if path.is_file() else {}
    recorded = record.get("sha256")
    if recorded is None:
        return
    for name in sorted(found.keys() | recorded.keys()):
        unused = name not in found and (source / name).is_file()
        if not unused and found.get(name) != recorded.get(name):
            raise InputError(
                f"{source / name}: sha256 is {found.get(name, 'missing')}, downloaded.json says "
                f"{recorded.get(name, 'nothing of it')} for revision {record.get('revision')}; "
                f"remove {path} to download it again"
            )


def link_checkpoint(source: Path, target: Path, expected: dict[str, str]) -> None:
    """Link the used files of the checkpoint folder `source` into `target` and record them in `provenance.json`.

    expected: file name -> SHA-256 that the model's row states.
    Raises InputError when a file is missing or its hash differs from the one the row states or the one its download
    recorded; the target is complete once the provenance, written last, is there.
    """
    from discreteness.denoisers.checkpoints import weight_files

    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    files = [source / name for name in TEXT_FILES if (source / name).is_file()] + weight_files(source)
    found = {path.name: sha256(path) for path in tqdm(files, desc="checking", unit="file")}
    for name, digest in expected.items():
        if found.get(name) != digest:
            raise InputError(f"{source / name}: sha256 is {found.get(name, 'missing')}, the model's row says {digest}")
    check_download(source, found)
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        link = target / path.name
        link.unlink(missing_ok=True)
        os.symlink(path.resolve(), link)
    write_json({"source": source.as_posix(), **origin(source), "sha256": found}, target / "provenance.json")
