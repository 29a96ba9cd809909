"""Reading a checkpoint folder: JSON and safetensors only, every claim checked before a byte of weight is used."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from math import prod
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedTokenizerBase

from discreteness.core.errors import InputError
from discreteness.denoisers.families import FAMILIES, UNSUPPORTED
from discreteness.denoisers.rows import LoadingRow
from discreteness.hub.checkpoint_folder import VOCABULARY_FILES, read_json, text_files, weight_files

Rename = Callable[[str], str]
Shapes = dict[str, tuple[Path, tuple[int, ...]]]  # tensor name -> (file, shape)


def read_shapes(folder: Path) -> Shapes:
    """Tensor name -> (file, shape) from the files' headers, which safetensors checks against the file's length."""
    shapes: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    if name in shapes:
                        raise InputError(f"{path}: tensor {name!r} is also in {shapes[name][0].name}")
                    shapes[name] = (path, tuple(file.get_slice(name).get_shape()))
        except SafetensorError as error:
            raise InputError(f"{path}: not a valid safetensors file ({error})") from None
        except RuntimeError as error:  # of the memory map
            size = path.stat().st_size / 1e9
            raise InputError(f"{path}: {size:.1f} GB cannot be mapped into memory ({error})") from None
    return shapes


def one_line(names: set[str]) -> str:
    """The first of some names, for a message."""
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def check_memory(folder: Path, shapes: Shapes, dtype: torch.dtype, device: torch.device, gpus: int) -> None:
    """Raise InputError when tensors of these shapes, in `dtype`, do not fit the device's free memory."""
    needed = sum(prod(shape) for _, shape in shapes.values()) * dtype.itemsize
    if device.type == "cuda":
        cards = range(torch.cuda.device_count())[:gpus] if gpus > 1 else [device]
        free = sum(torch.cuda.mem_get_info(card)[0] for card in cards)
    else:
        free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{folder}: the weights take {needed / 1e9:.1f} GB as {str(dtype).removeprefix('torch.')}, "
            f"{free / 1e9:.1f} GB are free on {device}"
        )


def check_shapes(
    folder: Path, shapes: Shapes, expected: dict[str, tuple[int, ...]], rename: Rename
) -> dict[str, tuple[Path, str]]:
    """Match a checkpoint's tensors with the model's: the same names after `rename`, the same shapes, none left over.

    shapes: as `read_shapes` returns them. Returns model name -> (file, name in the file).
    """
    places: dict[str, tuple[Path, str]] = {}
    for name, (path, _) in shapes.items():
        places[rename(name)] = (path, name)
    if missing := expected.keys() - places.keys():
        raise InputError(f"{folder}: the checkpoint lacks {one_line(missing)}")
    if extra := places.keys() - expected.keys():
        raise InputError(
            f"{folder}: tensors the architecture has no place for: {one_line({places[n][1] for n in extra})}"
        )
    for target, (path, name) in places.items():
        if shapes[name][1] != expected[target]:
            raise InputError(
                f"{path}: tensor {name!r} has shape {list(shapes[name][1])}, config.json says {list(expected[target])}"
            )
    return places


def load_tensors(places: dict[str, tuple[Path, str]], dtype: torch.dtype, device) -> dict[str, torch.Tensor]:
    """Read the matched tensors in `dtype` onto a device, file by file, one tensor at a time."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted({path for path, _ in places.values()}):
        with safe_open(path, framework="pt") as file:
            for target, (source, name) in places.items():
                if source == path:
                    tensors[target] = file.get_tensor(name).to(device=device, dtype=dtype)
    return tensors


def read_config(folder: Path, refuse: dict[str, tuple]) -> dict:
    """config.json as a plain mapping, after refusing settings the loader cannot express.

    refuse: key -> the values that can be expressed; a missing key is fine.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    path = folder / "config.json"
    config = read_json(path)
    for key, value in config.items():
        if isinstance(value, str) and value.lower() in ("true", "false"):
            raise InputError(f"{path}: {key} = {value!r} is text (expected {value.lower()}, without quotes)")
    for key, allowed in refuse.items():
        if key in config and config[key] not in allowed:
            wanted = " or ".join(map(repr, allowed))
            raise InputError(f"{path}: {key} = {config[key]!r} is not supported (expected {wanted})")
    return config


def check_folder(folder: Path, family: str) -> None:
    """Raise InputError for a checkpoint folder that is not of the family, whose weights are quantised, or that has no
    tokenizer: what its files say of themselves, `architectures` first."""
    config = read_config(folder, {})
    path = folder / "config.json"
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise InputError(f"{path}: architectures = {named!r} (expected a list of names)")
    for name in named:
        if name in UNSUPPORTED:
            raise InputError(f"{path}: architectures: {name} is {UNSUPPORTED[name]}, which is not supported")
    if family == "llada" and "moe" in str(config.get("model_type")):
        raise InputError(f"{path}: model_type: LLaDA's mixtures of experts are not supported")
    expected = FAMILIES[family].architectures + FAMILIES[family].accepts
    owners = [other for other, facts in FAMILIES.items() if set(named) & set(facts.architectures)]
    if named and not set(named) & set(expected) and (expected or owners):
        hint = f"the row should say family: {owners[0]}" if owners else f"expected {' or '.join(expected)}"
        raise InputError(f"{path}: architectures: {one_line(set(named))} is not of family {family} ({hint})")
    if isinstance(quantised := config.get("quantization_config"), Mapping):
        method = quantised.get("quant_method", "an unnamed method")
        raise InputError(f"{path}: quantization_config: weights quantised by {method} are not supported")
    if not any(fnmatch(path.name, pattern) for path in text_files(folder) for pattern in VOCABULARY_FILES):
        raise InputError(f"{folder}: no tokenizer files (expected one of {', '.join(VOCABULARY_FILES)})")


def rope_theta(config: Mapping, path: Path) -> float:
    """The base of a plain rotary embedding, as transformers 4 (`rope_theta`) or 5 (`rope_parameters`) spells it.

    Raises InputError where there is none, where two spellings differ, and for scaled, partial or per-layer rotation.
    """
    bases = {"rope_theta": config.get("rope_theta")}
    for key in ("rope_parameters", "rope_scaling"):
        given = config.get(key) or {}
        if not isinstance(given, Mapping):
            raise InputError(f"{path}: {key} = {given!r} (expected a mapping or null)")
        kind = given.get("rope_type", given.get("type", "default"))
        plain = {"partial_rotary_factor": 1, "factor": 1}  # values without effect
        others = {
            name: value
            for name, value in given.items()
            if name not in ("rope_type", "type", "rope_theta", "original_max_position_embeddings")
            and value is not None
            and value != plain.get(name)
        }
        if kind != "default" or others:
            raise InputError(f"{path}: {key} = {dict(given)!r} is not supported (expected plain rotation)")
        bases[f"{key}.rope_theta"] = given.get("rope_theta")
    thetas = {name: base for name, base in bases.items() if base is not None}
    if not thetas:
        raise InputError(f"{path}: key 'rope_theta' is missing")
    if len(set(thetas.values())) > 1:
        raise InputError(f"{path}: " + " but ".join(f"{name} = {base}" for name, base in thetas.items()))
    return next(iter(thetas.values()))


@contextmanager
def required(path: Path) -> Iterator[None]:
    """Turn a KeyError inside the block, a key that a configuration file lacks, into an InputError that names it."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"{path}: key {error.args[0]!r} is missing") from None


def load_tokenizer(folder: Path, tokenizer_class: type) -> PreTrainedTokenizerBase:
    """The folder's tokenizer; InputError when transformers cannot make it without running foreign code."""
    try:
        return tokenizer_class.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # whatever a library of many authors raises on a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: no usable tokenizer ({reason or type(error).__name__})") from None


def mask_id_of(row: LoadingRow, config: Mapping, path: Path) -> int:
    """The mask token's id: what the model's row says, else `mask_token_id` of config.json; InputError without one."""
    mask_id = row.mask_id if row.mask_id is not None else config.get("mask_token_id")
    if mask_id is None:
        raise InputError(f"{path}: mask_token_id is missing or null; give the model's row a `mask_id`")
    return mask_id


def shape_settings(config: dict) -> dict:
    """What Llama, Qwen2 and Qwen3 configurations share, under the names that transformers gives these settings.

    Raises KeyError for one that is missing (see `required`).
    """
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names += ("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings")
    return {name: config[name] for name in names}
