"""Downloads with the hub's real clients from a hub on this machine: what arrives, what never does, what goes wrong."""

import contextlib
import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny
from discreteness.core.errors import InputError
from discreteness.hub.checkpoint_folder import link_checkpoint
from discreteness.hub.download import _explained
from hub_server import FOR_EVER, Fault, Hub, Repo, lima_like, read_folder

LIBRARY = Path(__file__).parents[1] / "workflow_scripts"
ATTEMPTS = 4
CHUNK = 10 * 1024 * 1024  # the client writes so many bytes at a time
BIG = b"0123456789abcdef" * 750_000  # 12 MB: one chunk and a bit

# Reads one call a line, answers with one line: the record, the one-line refusal, or the traceback of anything else.
DRIVER = f"""
import json, os, shutil, sys, traceback
from pathlib import Path
from types import SimpleNamespace
from huggingface_hub import constants
from discreteness.core.errors import InputError
from discreteness.hub import download

constants.DOWNLOAD_CHUNK_SIZE = int(os.environ.get("CHUNK", constants.DOWNLOAD_CHUNK_SIZE))
download.WAITS = [0.01] * ({ATTEMPTS} - 1)
disk_usage = shutil.disk_usage
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    call = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    if call["token"]:
        os.environ["HF_TOKEN"] = call["token"]
    shutil.disk_usage = disk_usage if call["free"] is None else lambda _: SimpleNamespace(free=call["free"])
    try:
        answer = {{"record": download.download(call["repo"], call["kind"], call["revision"], Path(call["folder"]))}}
    except InputError as error:
        answer = {{"refused": str(error)}}
    except Exception:
        answer = {{"crashed": traceback.format_exc()}}
    print(json.dumps(answer), file=answers, flush=True)
"""


class Client:
    """A process in which the library downloads, with an environment of its own."""

    def __init__(self, endpoint: str, home: Path, **variables: str):
        self.home = home
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LIBRARY),
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": endpoint,
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", DRIVER]
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)

    def ask(self, repo, kind, folder, revision=None, token=None, free=None) -> None:
        call = {"repo": repo, "kind": kind, "folder": str(folder), "revision": revision, "token": token, "free": free}
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()

    def __call__(self, *call, **options) -> dict:
        """The record of a download; InputError with its one line where it was refused."""
        self.ask(*call, **options)
        answer = json.loads(self.process.stdout.readline())
        assert "crashed" not in answer, answer["crashed"]
        if "refused" in answer:
            raise InputError(answer["refused"])
        return answer["record"]


@pytest.fixture(scope="module")
def started():
    """One hub for all tests, so that one client process, which imports its endpoint once, can serve them."""
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def download(started, tmp_path_factory):
    with Client(started.url, tmp_path_factory.mktemp("home")) as client:
        yield client


@pytest.fixture
def hub(started):
    """The hub as if new."""
    started.repos.clear(), started.requests.clear(), started.faults.clear()
    return started


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The files of a tiny checkpoint that are downloaded."""
    return read_folder(tiny.write(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def model(hub, checkpoint):
    """A repository with a checkpoint and what must never be fetched."""
    other = dict.fromkeys(("modeling_llada.py", "pytorch_model.bin", "README.md", "original/a.safetensors"), b"never")
    return hub.add(Repo("org/tiny", "model", {**checkpoint, **other, "sub/config.json": b"{}"}))


@pytest.fixture
def data(hub, request):
    """A repository in the layout of LIMA's, with a loading script; the client remembers commits, so one of its own."""
    files = {"train.jsonl": lima_like(), "lima.py": b"raise SystemExit", "test.jsonl": b"{}\n"}
    files["README.md"] = request.node.name.encode()
    return hub.add(Repo("org/lima", "dataset", files))


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def there(folder: Path) -> dict[str, bytes]:
    """What a download has left in its folder, without its record."""
    return {name: content for name, content in read_folder(folder).items() if name != "downloaded.json"}


def refused(message: str):
    """One line that says so."""
    return pytest.raises(InputError, match=rf"\A[^\n]*{message}[^\n]*\Z")


# ---- what arrives


def test_model(download, model, hub, checkpoint, tmp_path):
    record = download("org/tiny", "model", tmp_path)
    assert record == {"repo": "org/tiny", "revision": model.main, "sha256": hashes(checkpoint)}
    assert record == json.loads((tmp_path / "downloaded.json").read_text())
    assert there(tmp_path) == checkpoint
    assert not hub.requests_to(r"\.py|\.bin|README|original|sub/")
    assert len(hub.requests_to("GET /org/tiny/resolve/")) == len(checkpoint)
    assert not hub.requests_to("resolve/(?!" + model.main + ")")
    assert not any("authorization" in request.headers for request in hub.requests)


def test_data(download, data, hub, tmp_path):
    record = download("org/lima", "dataset", tmp_path)
    text = (tmp_path / "train.jsonl").read_bytes()
    assert record == {"repo": "org/lima", "revision": data.main, "sha256": hashes({"train.jsonl": text})}
    rows = [json.loads(line) for line in lima_like().splitlines()]
    assert [json.loads(line) for line in text.splitlines()] == rows
    assert b"\\u" not in text and "naïvely".encode() in text and "✓".encode() in text
    assert list(there(tmp_path)) == ["train.jsonl"]
    assert not hub.requests_to(r"\.py|test\.jsonl")
    assert not hub.requests_to("resolve/(?!" + data.main + ")")
    assert not list((download.home / "hf").rglob("*lima*"))  # nothing is kept outside the folder


@pytest.mark.parametrize(("kind", "file"), [("model", "model.safetensors"), ("dataset", "train.jsonl")])
def test_gated_with_token(download, hub, tmp_path, kind, file):
    """The token goes to the hub and never to where the hub sends its client for large files."""
    content = {"config.json": b"{}", file: lima_like()}
    hub.add(Repo("org/gated", kind, content, tokens={"hf_good"}))
    download("org/gated", kind, tmp_path, token="hf_good")
    assert (tmp_path / file).is_file()
    requests = hub.requests_to("resolve/.*" + file)
    assert requests and all(request.headers["authorization"] == "Bearer hf_good" for request in requests)
    large = [request for request in hub.requests if request.where == "files"]
    assert large and not any("authorization" in request.headers for request in large)


# ---- one commit


def test_moving_main(download, hub, tmp_path):
    """A pinned row gets the commit it names; an unpinned one the newest, and files of the old one go."""
    shards = {"model-1.safetensors": b"one", "model-2.safetensors": b"two", "vocab.json": b"{}"}
    repo = hub.add(Repo("org/moves", "model", {"config.json": b"{}", **shards}))
    old = repo.main
    new = repo.commit({"config.json": b'{"a": 1}', "model.safetensors": b"three"})
    (tmp_path / "notes.txt").write_text("mine")
    notes = {"notes.txt": b"mine"}
    assert download("org/moves", "model", tmp_path, revision=old)["revision"] == old
    assert there(tmp_path) == {"config.json": b"{}", **shards, **notes}
    record = download("org/moves", "model", tmp_path)
    assert record["revision"] == new and set(record["sha256"]) == {"config.json", "model.safetensors"}
    assert there(tmp_path) == {"config.json": b'{"a": 1}', "model.safetensors": b"three", **notes}
    assert download("org/moves", "model", tmp_path, revision=old)["revision"] == old
    assert there(tmp_path) == {"config.json": b"{}", **shards, **notes}


def test_main_moves_during_a_download(download, model, hub, checkpoint, tmp_path):
    """The commit is resolved once: what is pushed after that is not mixed in."""
    old = model.main

    def push(body):
        model.commit({"config.json": b"{}", "model.safetensors": b"new"})
        return body

    hub.faults.append(Fault("GET /api/models/org/tiny", change=push))
    assert download("org/tiny", "model", tmp_path)["revision"] == old
    assert there(tmp_path) == checkpoint and model.main != old


def test_another_commit_than_asked_for(download, model, hub, tmp_path):
    hub.faults.append(Fault("GET /api/models", change=lambda body: body.replace(model.main.encode(), b"0" * 40)))
    with refused(f"org/tiny: asked for commit {model.main}, the hub answers with 0{{40}}"):
        download("org/tiny", "model", tmp_path, revision=model.main)


def test_only_what_is_missing_or_damaged(download, model, hub, checkpoint, tmp_path):
    download("org/tiny", "model", tmp_path)
    (tmp_path / "config.json").write_bytes(b"[]")
    (tmp_path / "tokenizer.json").unlink()
    hub.requests.clear()
    download("org/tiny", "model", tmp_path)
    assert there(tmp_path) == checkpoint
    assert {request.path.rsplit("/")[-1] for request in hub.requests_to("resolve")} == {"config.json", "tokenizer.json"}


# ---- refusals, before anything is downloaded


CONTENT = {"config.json": b"{}", "model.safetensors": b"weights", "train.jsonl": lima_like()}
PAGES = [("model", "https://huggingface.co/org/x"), ("dataset", "https://huggingface.co/datasets/org/x")]


@pytest.mark.parametrize(("kind", "page"), PAGES)
def test_no_such_repository(download, hub, tmp_path, kind, page):
    with refused(rf"org/x: no such {kind} on the hub, or a private one \(log in with .* set HF_TOKEN\); {page}"):
        download("org/x", kind, tmp_path / "folder")
    assert not hub.requests_to("resolve/") and not (tmp_path / "folder").exists()


@pytest.mark.parametrize("revision", ["v9", "1" * 40])
@pytest.mark.parametrize(("kind", "page"), PAGES)
def test_no_such_revision(download, hub, tmp_path, kind, page, revision):
    hub.add(Repo("org/x", kind, CONTENT))
    with refused(f"org/x: revision {revision} does not exist; see {page}/commits/main"):
        download("org/x", kind, tmp_path / "folder", revision=revision)
    assert not hub.requests_to("resolve/") and not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "is gated: accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"),
        ("hf_other", "is gated and your token has no access: accept its terms at {page} with the token's account"),
    ],
)
@pytest.mark.parametrize(("kind", "page"), PAGES)
def test_gated(download, hub, tmp_path, kind, page, token, message):
    hub.add(Repo("org/x", kind, CONTENT, tokens={"hf_good"}))
    with refused("org/x " + message.format(page=page)):
        download("org/x", kind, tmp_path / "folder", token=token)
    assert not hub.requests_to("GET .*resolve/") and not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("model", ["config.json", "pytorch_model.bin"], r"org/x: only pickled weights \(pytorch_model.bin\)"),
        ("model", ["config.json", "sub/model.safetensors"], r"org/x: no \*.safetensors at its top level"),
        ("model", ["model.safetensors"], "org/x: no config.json at its top level"),
        ("dataset", ["lima.py", "data/train.jsonl"], "org/x: no train.jsonl at its top level"),
    ],
)
def test_not_what_is_needed(download, hub, tmp_path, kind, names, message):
    hub.add(Repo("org/x", kind, dict.fromkeys(names, b"some")))
    with refused(message + ".*; nothing downloaded"):
        download("org/x", kind, tmp_path / "folder")
    assert not hub.requests_to("resolve/") and not (tmp_path / "folder").exists()


def test_mistyped_token(download, hub, tmp_path):
    headers = {"X-Error-Message": "Invalid credentials in Authorization header"}
    hub.faults.append(Fault("GET /api", status=401, headers=headers, times=FOR_EVER))
    with refused(r"org/x: the hub refuses the token \(.*Invalid credentials.*\); log in with"):
        download("org/x", "model", tmp_path, token="hf_typo")


def test_not_a_name(download, hub, tmp_path):
    with refused("repo: 'an org/x y' is not a name of the hub"):
        download("an org/x y", "model", tmp_path)
    assert not hub.requests


@pytest.mark.parametrize(("kind", "needed"), [("model", 300 + 2), ("dataset", 3 * 300)])
def test_disk_too_small(download, hub, tmp_path, kind, needed):
    files = {"config.json": b"{}", "model.safetensors": b"x" * 300, "train.jsonl": b"y" * 300}
    hub.add(Repo("org/x", kind, files))
    with refused(f"{tmp_path}: org/x needs {needed} bytes more, {needed - 1} are free"):
        download("org/x", kind, tmp_path, free=needed - 1)
    assert not hub.requests_to("resolve/")


def test_disk_large_enough_for_the_rest(download, model, checkpoint, tmp_path):
    """What is there already needs no room."""
    download("org/tiny", "model", tmp_path)
    (tmp_path / "config.json").unlink()
    download("org/tiny", "model", tmp_path, free=len(checkpoint["config.json"]))
    assert there(tmp_path) == checkpoint


@pytest.mark.parametrize(
    "content", [b"", b"not JSON\n", b'{"conversations": ["a", "b"], "source": "2024-05-01"}\n'], ids=str
)
def test_not_lines_of_text(download, hub, tmp_path, content):
    """Empty, malformed, or read by the library as something else than the text that stands there; no old file stays."""
    (tmp_path / "train.jsonl").write_text("older")
    hub.add(Repo("org/x", "dataset", {"train.jsonl": content}))
    with refused(r"org/x: train.jsonl cannot be read as JSON lines of text \(.+\)"):
        download("org/x", "dataset", tmp_path)
    assert there(tmp_path) == {}


# ---- failures on the way


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("model", "GET /api/models"),
        ("model", "GET /org/tiny/resolve/.*safetensors"),
        ("dataset", "GET /api/datasets/org/lima"),
        ("dataset", "GET .*train.jsonl"),
    ],
)
def test_busy_for_a_while(download, model, data, hub, tmp_path, kind, where):
    hub.faults.append(Fault(where, status=503, times=ATTEMPTS - 1))
    download({"model": model, "dataset": data}[kind].name, kind, tmp_path)
    assert hub.faults[0].times == 0 and (tmp_path / "downloaded.json").is_file()


@pytest.mark.parametrize(
    ("kind", "where"),
    [("model", "GET /api"), ("model", "GET /org/tiny/resolve"), ("dataset", "GET /api"), ("dataset", "GET /dataset/")],
)
def test_busy_for_ever(download, model, data, hub, tmp_path, kind, where):
    repo = {"model": model, "dataset": data}[kind].name
    hub.faults.append(Fault(where, status=502, times=FOR_EVER))
    with refused(rf"{repo}: the hub cannot be reached or fails \(.*502.*\); run again to go on, or name a local copy"):
        download(repo, kind, tmp_path)
    assert len(hub.requests_to(where)) == ATTEMPTS
    assert not (tmp_path / "downloaded.json").exists()


def test_disk_full_on_the_way():
    with refused("a/b: no disk space left; make room, then run again to go on"), _explained("a/b", "model", None):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_dropped_connection(download, hub, tmp_path):
    """The rest of the file is asked for, within the call."""
    hub.add(Repo("org/big", "model", {"config.json": b"{}", "model.safetensors": BIG}))
    hub.faults.append(Fault("GET .*safetensors", drop=CHUNK + 1000))
    download("org/big", "model", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == BIG
    ranges = [request.headers.get("range") for request in hub.requests_to("GET .*resolve.*safetensors")]
    assert ranges == [None, f"bytes={CHUNK}-"]


def test_dropped_connection_to_a_failing_hub(download, hub, tmp_path):
    """The rest of the file is asked for in the next call, and no other file again."""
    hub.add(Repo("org/big", "model", {"config.json": b"{}", "model.safetensors": BIG}))
    hub.faults.append(Fault("GET .*safetensors", drop=CHUNK + 1000))
    hub.faults.append(Fault("GET .*safetensors", status=500, times=FOR_EVER))
    with refused("run again to go on"):
        download("org/big", "model", tmp_path)
    hub.requests.clear(), hub.faults.clear()
    download("org/big", "model", tmp_path, free=len(BIG) - CHUNK)
    assert there(tmp_path) == {"config.json": b"{}", "model.safetensors": BIG}
    assert [request.headers.get("range") for request in hub.requests_to("resolve")] == [f"bytes={CHUNK}-"]


def arrived(folder: Path) -> int:
    """Bytes of the files in a folder in which another process works."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@pytest.mark.parametrize(("kind", "kills"), [("model", 2), ("dataset", 1)])
def test_killed(download, hub, tmp_path, kind, kills):
    """With SIGKILL, at moments drawn at random: nothing unfinished has a final name, and a new process goes on."""
    draw = random.Random(kind)
    line = json.dumps({"conversations": ["question", "answer " * 100], "source": "made up"}, ensure_ascii=False) + "\n"
    files = {
        "model": {"config.json": b"{}", **{f"model-{n}.safetensors": draw.randbytes(2_000_000) for n in (1, 2)}},
        "dataset": {"train.jsonl": line.encode() * 5000},
    }[kind]
    hub.add(Repo("org/big", kind, files))
    hub.faults.append(Fault("GET .*(safetensors|train.jsonl)", slow=0.05, times=FOR_EVER))
    folder, total = tmp_path / "folder", sum(map(len, files.values()))
    for moment in sorted(draw.uniform(0.1, 0.8) for _ in range(kills)):
        with Client(hub.url, tmp_path, CHUNK="65536") as client:
            client.ask("org/big", kind, folder)
            deadline = time.monotonic() + 120
            while arrived(folder) < moment * total:
                assert client.process.poll() is None and time.monotonic() < deadline
            client.process.kill()
            client.process.wait()
        finished = {path: content for path, content in there(folder).items() if not path.endswith(".part")}
        assert all(files[Path(path).name] == content for path, content in finished.items())
        (part,) = [content for path, content in there(folder).items() if path.endswith(".part")]
        assert part and not (folder / "downloaded.json").exists()
        hub.requests.clear()
    hub.faults.clear()
    download("org/big", kind, folder)
    assert there(folder) == files
    requests = hub.requests_to("GET .*resolve")
    assert requests[0].headers.get("range") == f"bytes={len(part)}-"
    assert not {Path(request.path).name for request in requests} & {Path(path).name for path in finished}


@pytest.mark.parametrize(
    ("kind", "file", "change", "message"),
    [
        ("model", "model.safetensors", lambda body: body[:-100], "has [0-9]+ bytes, the hub says [0-9]+"),
        ("model", "model.safetensors", lambda body: body[:-1] + b"?", "has sha256 [0-9a-f]{64}, the hub says"),
        ("model", "config.json", lambda body: b"[" + body[1:], "has git hash [0-9a-f]{40}, the hub says"),
        ("dataset", "train.jsonl", lambda body: body[:-100], "has [0-9]+ bytes, the hub says [0-9]+"),
        ("dataset", "train.jsonl", lambda body: body.replace(b"made", b"fake"), "has sha256 .*, the hub says"),
    ],
)
def test_wrong_file(download, model, data, hub, checkpoint, tmp_path, kind, file, change, message):
    """Reported and removed, whatever the length that was announced; the next call puts it right."""
    repo = {"model": model, "dataset": data}[kind].name
    hub.faults.append(Fault(f"GET .*{file}", change=change))
    with refused(f"{repo}: .*downloaded .*{message}"):
        download(repo, kind, tmp_path)
    assert not any(file in name for name in there(tmp_path))
    assert not (tmp_path / "downloaded.json").exists()
    download(repo, kind, tmp_path)
    assert set(there(tmp_path)) == (set(checkpoint) if kind == "model" else {"train.jsonl"})


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_nobody_listens(tmp_path, kind):
    with (
        Client("http://127.0.0.1:9", tmp_path) as client,
        refused(r"a/b: the hub cannot be reached or fails \(.+\); run again to go on, or name a local copy as `path`"),
    ):
        client("a/b", kind, tmp_path)


def test_offline(hub, tmp_path):
    with (
        Client(hub.url, tmp_path, HF_HUB_OFFLINE="1") as client,
        refused("a/b: HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or name a local copy as `path`"),
    ):
        client("a/b", "model", tmp_path)
    assert not hub.requests


# ---- a downloaded model in use


@pytest.fixture
def downloaded(checkpoint, tmp_path):
    """A downloaded checkpoint's folder."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    for name, content in checkpoint.items():
        (folder / name).write_bytes(content)
    record = {"repo": "org/tiny", "revision": "1" * 40, "sha256": hashes(checkpoint)}
    (folder / "downloaded.json").write_text(json.dumps(record))
    return folder


def test_link(downloaded, checkpoint, tmp_path):
    link_checkpoint(downloaded, tmp_path / "target", {"config.json": hashes(checkpoint)["config.json"]})
    provenance = json.loads((tmp_path / "target" / "provenance.json").read_text())
    assert provenance["downloaded"] == {"repo": "org/tiny", "revision": "1" * 40}
    assert provenance["sha256"] == hashes(checkpoint)
    assert (tmp_path / "target" / "model.safetensors").read_bytes() == checkpoint["model.safetensors"]


def spoil(name):
    def edit(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + b"?")

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (spoil("model.safetensors"), "model.safetensors: sha256 is [0-9a-f]{64}, downloaded.json says [0-9a-f]{64}"),
        (
            lambda folder: (folder / "tokenizer.json").unlink(),
            "tokenizer.json: sha256 is missing, downloaded.json",
        ),
        (lambda folder: (folder / "vocab.json").write_text("{}"), "vocab.json: .*downloaded.json says nothing of it"),
    ],
)
def test_link_refuses_what_was_not_downloaded(downloaded, tmp_path, edit, message):
    edit(downloaded)
    with refused(rf"{message}.*for revision 1{{40}}; remove .*downloaded.json to download it again"):
        link_checkpoint(downloaded, tmp_path / "target", {})
    assert not (tmp_path / "target").exists()


def test_link_refuses_another_hash_than_the_rows(downloaded, tmp_path):
    with refused("config.json: sha256 is [0-9a-f]{64}, the model's row says 0{64}"):
        link_checkpoint(downloaded, tmp_path / "target", {"config.json": "0" * 64})
