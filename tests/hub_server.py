"""A hub on this machine: as much of the Hugging Face hub's HTTP interface as its real clients need, and its failures.

    with Hub(Repo("org/tiny", "model", {"config.json": b"{}", ...})) as hub:
        subprocess.run(..., env={..., "HF_ENDPOINT": hub.url})
        assert "/org/tiny/resolve" in hub.requests[-1].path

Like the hub it lists repositories, resolves revisions, serves small files itself and sends large ones from another
origin, which must not see the token. Files are kept in memory.
"""

import hashlib
import json
import math
import re
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = (".safetensors", ".bin", ".jsonl")  # what the hub keeps in LFS, with a SHA-256


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their path within it."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lima_like(rows: int = 6) -> bytes:
    """Made-up questions and answers in LIMA's layout: JSON lines, ASCII escapes, one conversation of two exchanges."""
    records = [
        {"conversations": [f"What is {n} + {n}? — naïvely", f"{2 * n}, “of course” ✓"], "source": "made up"}
        for n in range(rows)
    ]
    records[-1]["conversations"] += ["And\nthen?", "Nothing."]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@dataclass(frozen=True)
class File:
    """A file's bytes and the names the hub gives them."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        """Git's hash of what git stores: the content, or the pointer that stands for a large file."""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        stored = pointer.encode() if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob


class Repo:
    """A repository: its commits, oldest first, and `main`, which names one of them.

    tokens: who may read the files of a gated repository; None where anyone may.
    """

    def __init__(self, name: str, kind: str, *commits: dict[str, bytes], tokens: set[str] | None = None):
        self.name, self.kind, self.tokens = name, kind, tokens
        self.commits: dict[str, dict[str, File]] = {}
        for files in commits:
            self.commit(files)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit with these files, move `main` to it and return its 40-hex name."""
        added = {path: File(content, path.endswith(LARGE)) for path, content in sorted(files.items())}
        tree = [self.name, len(self.commits), *((path, file.blob) for path, file in added.items())]
        self.main = hashlib.sha1(json.dumps(tree).encode()).hexdigest()
        self.commits[self.main] = added
        return self.main


@dataclass
class Request:
    """A request as it arrived. where: `hub`, or `files` (the origin of large files); header names in lower case."""

    where: str
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose method and path match `pattern` (`GET .*config.json`).

    status: answer so, with `headers`. The others are of bodies, so a redirect to a large file passes: drop: close the
    connection after so many bytes. slow: wait so many seconds after every 64 kB. change: what the body becomes (and its
    announced length with it).
    """

    pattern: str
    times: float = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: int | None = None
    slow: float | None = None
    change: Callable[[bytes], bytes] | None = None


class Hub:
    """The server: `url` for HF_ENDPOINT, `requests` as they came, `faults` to be added to."""

    def __init__(self, *repos: Repo):
        self.repos = {(repo.kind, repo.name): repo for repo in repos}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._servers = {}
        for where in ("hub", "files"):
            handler = type("Handler", (_Handler,), {"hub": self, "where": where})
            self._servers[where] = _Server(("127.0.0.1", 0), handler)

    def add(self, repo: Repo) -> Repo:
        """Let the hub have one more repository."""
        self.repos[repo.kind, repo.name] = repo
        return repo

    @property
    def url(self) -> str:
        return self._url("hub")

    def _url(self, where: str) -> str:
        return f"http://127.0.0.1:{self._servers[where].server_address[1]}"

    def __enter__(self) -> "Hub":
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._closing.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def requests_to(self, pattern: str) -> list[Request]:
        """The requests whose method and path match a regular expression."""
        return [request for request in self.requests if re.search(pattern, f"{request.method} {request.path}")]

    def fault(self, request: str, of_body: bool) -> Fault | None:
        """The fault that hits a request: the first one left that matches, when its turn is now; counted."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    if of_body != (fault.status is None):
                        return None
                    fault.times -= 1
                    return fault
        return None


FOR_EVER = math.inf


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_) -> None:
        """Nothing: a client that goes away in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    where: str

    def log_message(self, *_) -> None:
        """Nothing: `requests` is the record."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append(Request(self.where, self.command, self.path, headers))
        if fault := self.hub.fault(f"{self.command} {self.path}", of_body=False):
            return self._answer(fault.status, fault.headers)
        url = urllib.parse.urlsplit(self.path)
        path, self.query = urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query))
        if self.where == "files":
            return self._large_file(path)
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/([^/]+)(?:/(.*))?)?", path):
            kind, name, action, rest = match.groups()
            return self._api(kind, name, action, rest)
        if match := re.fullmatch(r"/(?:(dataset)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, name, revision, file = match.groups()
            return self._resolve(kind or "model", name, revision, file)
        return self._answer(404)

    def _api(self, kind: str, name: str, action: str | None, rest: str | None) -> None:
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        revision, _, below = (rest or "main").partition("/")
        commit = self._commit(repo, revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits[commit]
        if action in (None, "revision"):
            listed = [
                {"rfilename": path, **(self._blob(file) if "blobs" in self.query else {})}
                for path, file in files.items()
            ]
            about = {"_id": "0", "id": name, "sha": commit, "private": False, "disabled": False}
            gated = "manual" if repo.tokens is not None else False
            return self._json({**about, "gated": gated, "downloads": 0, "likes": 0, "tags": [], "siblings": listed})
        if action == "tree":
            return self._json(self._tree(files, below, self.query.get("recursive", "").lower() in ("true", "1")))
        if action == "paths-info":
            paths = urllib.parse.parse_qs(self.body.decode()).get("paths", [])
            return self._json([self._entry(path, files[path]) for path in paths if path in files])
        return self._answer(404)

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        if self._closed(repo):
            return None
        commit = self._commit(repo, revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        file = repo.commits[commit].get(path)
        if file is None:
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not file.large:
            return self._content(file.content, {**headers, "ETag": f'"{file.etag}"'})
        location = f"{self.hub._url('files')}/{kind}/{name}/{commit}/{path}"
        linked = {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content)), "Location": location}
        return self._answer(302, {**headers, **linked})

    def _large_file(self, path: str) -> None:
        kind, owner, name, commit, file = path[1:].split("/", 4)
        self._content(self.hub.repos[kind, f"{owner}/{name}"].commits[commit][file].content, {})

    @staticmethod
    def _commit(repo: Repo, revision: str) -> str | None:
        revision = repo.main if revision == "main" else revision
        return revision if revision in repo.commits else None

    @staticmethod
    def _blob(file: File) -> dict:
        large = {"lfs": {"sha256": file.sha256, "size": len(file.content), "pointerSize": 130}} if file.large else {}
        return {"size": len(file.content), "blobId": file.blob, **large}

    @staticmethod
    def _entry(path: str, file: File) -> dict:
        size = len(file.content)
        large = {"lfs": {"oid": file.sha256, "size": size, "pointerSize": 130}} if file.large else {}
        return {"type": "file", "path": path, "oid": file.blob, "size": size, **large}

    def _tree(self, files: dict[str, File], below: str, recursive: bool) -> list[dict]:
        prefix = f"{below}/" if below else ""
        entries, folders = [], set()
        for path, file in files.items():
            rest = path.removeprefix(prefix)
            if path.startswith(prefix):
                folders |= {prefix + rest[: at.start()] for at in re.finditer("/", rest)}
                if recursive or "/" not in rest:
                    entries.append(self._entry(path, file))
        folders = {folder for folder in folders if recursive or "/" not in folder.removeprefix(prefix)}
        return [
            {"type": "directory", "path": f, "oid": hashlib.sha1(f.encode()).hexdigest()} for f in folders
        ] + entries

    def _closed(self, repo: Repo) -> bool:
        """Whether a gated repository stays closed to this request; then the refusal is sent."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo.tokens is None or token in repo.tokens:
            return False
        self._refuse(403 if token else 401, "GatedRepo", f"Access to {repo.kind} {repo.name} is restricted.")
        return True

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})

    def _json(self, value: object) -> None:
        self._content(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        """Send a body, or the part of it that a Range asks for, as the fault of this request lets it through."""
        fault = self.hub.fault(f"{self.command} {self.path}", of_body=True)
        if fault and fault.change:
            content = fault.change(content)
        start, status = 0, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(match[1]), int(match[2] or len(content) - 1)
            if start >= len(content):
                return self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
            headers = {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
            content, status = content[start : end + 1], 206
        return self._answer(status, headers, content, fault)

    def _answer(self, status: int, headers: dict | None = None, content: bytes = b"", fault: Fault | None = None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.drop is not None:
            self.wfile.write(content[: fault.drop])
            self.close_connection = True
        elif fault and fault.slow is not None:
            for at in range(0, len(content), 65536):
                self.wfile.write(content[at : at + 65536])
                self.hub._closing.wait(fault.slow)
        else:
            self.wfile.write(content)
