"""Checkpoints that want code run, lie about themselves or are too large: refused with one line, nothing executed."""

import json
import os
import struct
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file

import tiny
from discreteness.core.errors import InputError
from discreteness.denoisers import checkpoints, load_denoiser

FAMILIES = ("llada", "masked_lm")


def write(folder, family):
    if family == "llada":
        tiny.write(folder)
    else:
        tiny.write_transformers(folder, "bert")
    return folder


def refused(folder, family, message):
    """Loading raises InputError with one line that matches."""
    with pytest.raises(InputError, match=message) as caught:
        load_denoiser({"family": family, "path": folder}, "cpu")
    assert "\n" not in str(caught.value)


@pytest.fixture(params=FAMILIES)
def checkpoint(request, tmp_path):
    return write(tmp_path / "checkpoint", request.param), request.param


def trap(folder):
    """Code that leaves a trace when anything of it runs; returns where the trace would be."""
    trace = folder.parent / "trace"
    code = f"open({str(trace)!r}, 'w').close()\nclass Evil:\n    pass\n"
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(code)
    return trace


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


MAP = {
    "AutoConfig": "configuration_evil.Evil",
    "AutoModel": "modeling_evil.Evil",
    "AutoModelForMaskedLM": "modeling_evil.Evil",
}


def test_remote_code_is_refused(tmp_path):
    folder = write(tmp_path / "checkpoint", "masked_lm")
    trace = trap(folder)
    edit(folder / "config.json", auto_map=MAP)
    refused(folder, "masked_lm", "config.json: auto_map names code of the checkpoint's own, which is never run")
    assert not trace.exists()


def test_unknown_architecture_with_remote_code(tmp_path):
    folder = write(tmp_path / "checkpoint", "masked_lm")
    trace = trap(folder)
    edit(folder / "config.json", model_type="evil")
    refused(folder, "masked_lm", "evil")
    assert not trace.exists()


def test_published_layouts_name_code_that_is_never_run(tmp_path):
    """LLaDA's own config.json names remote code; it is loaded as data."""
    folder = write(tmp_path / "checkpoint", "llada")
    trace = trap(folder)
    edit(folder / "config.json", auto_map=MAP)
    load_denoiser({"family": "llada", "path": folder}, "cpu")
    assert not trace.exists()


def test_tokenizer_with_remote_code(checkpoint):
    folder, family = checkpoint
    trace = trap(folder)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]})
    try:
        load_denoiser({"family": family, "path": folder}, "cpu")
    except InputError as error:
        assert "\n" not in str(error)
    assert not trace.exists()


class Evil:
    """An object whose unpickling would create a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_pickled_weights_only(checkpoint):
    import pickle

    folder, family = checkpoint
    trace = folder.parent / "trace"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(trace)))
    refused(folder, family, r"no \*.safetensors weights \(found pytorch_model.bin: pickled weights are never loaded\)")
    assert not trace.exists()


def test_pickle_under_the_name_of_safetensors(checkpoint):
    import pickle

    folder, family = checkpoint
    trace = folder.parent / "trace"
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil(trace)))
    refused(folder, family, "not a valid safetensors file")
    assert not trace.exists()


@pytest.mark.parametrize("target", ["../other.safetensors", "/etc/passwd", "sub/model.safetensors"])
def test_index_outside_the_folder(checkpoint, target):
    folder, family = checkpoint
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": target}}))
    refused(folder, family, "not a file of this folder")


@pytest.mark.parametrize("index", [[], {"weight_map": []}, {"weight_map": {"a": 3}}, {}])
def test_malformed_index(checkpoint, index):
    folder, family = checkpoint
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, family, "model.safetensors.index.json: ")


def rewrite_header(path, change):
    """Replace a safetensors file's header by what `change` makes of it, the data left as they are."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])


def first(header):
    return header[sorted(name for name in header if name != "__metadata__")[0]]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: first(header).update(shape=[10**6, 10**6]),
        lambda header: first(header).update(data_offsets=[0, 10**12]),
        lambda header: first(header).update(shape=[2**40, 2**40]),
        lambda header: first(header).update(dtype="F64"),
    ],
    ids=["shape", "offsets", "overflow", "dtype"],
)
def test_lying_header(checkpoint, change):
    folder, family = checkpoint
    rewrite_header(folder / "model.safetensors", change)
    refused(folder, family, "not a valid safetensors file")


@pytest.mark.parametrize("size", [2**63, 10**9, 3])
def test_lying_header_length(checkpoint, size):
    folder, family = checkpoint
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", size) + file.read_bytes()[8:])
    refused(folder, family, "not a valid safetensors file")


def test_truncated(checkpoint):
    folder, family = checkpoint
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(folder, family, "not a valid safetensors file")


def test_weights_larger_than_the_memory(checkpoint, monkeypatch):
    folder, family = checkpoint
    monkeypatch.setattr(checkpoints.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    refused(folder, family, r"the weights take 0\.0 GB as float32, 0\.0 GB are free on cpu")


def test_giant_tensor(checkpoint):
    """A consistent file of 1 TB, sparse on disk, whose one tensor is announced everywhere."""
    folder, family = checkpoint
    vocabulary, width = 2**34, 16
    weights = load_file(folder / "model.safetensors")
    name = "model.transformer.wte.weight" if family == "llada" else "bert.embeddings.word_embeddings.weight"
    weights.pop(name)
    file = folder / "model.safetensors"
    save_file(weights, file, {"format": "pt"})
    end = {}

    def add(header):
        end["data"] = max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
        last = end["data"] + vocabulary * width * 4
        header[name] = {"dtype": "F32", "shape": [vocabulary, width], "data_offsets": [end["data"], last]}

    rewrite_header(file, add)
    try:
        os.truncate(file, os.path.getsize(file) + vocabulary * width * 4)
    except OSError:
        pytest.skip("the file system does not hold sparse files of 1 TB")
    keys = ("vocab_size", "embedding_size") if family == "llada" else ("vocab_size",)
    edit(folder / "config.json", **dict.fromkeys(keys, vocabulary))
    refused(folder, family, r"1099\.5 GB cannot be mapped into memory")
