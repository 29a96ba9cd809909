"""Downloads from the Hugging Face hub: one commit, the files that are used and no others, each checked after arrival.

Files come over plain HTTP, so that an interrupted one goes on where it ended, in this run or the next.
"""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import DatasetInfo, ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers
from huggingface_hub.utils.sha import git_hash

from discreteness.core.errors import InputError
from discreteness.core.io import atomic, full_disk, put, write_json
from discreteness.hub.checkpoint_folder import is_text_file, is_weight_file, sha256, text_files

RECORD = "downloaded.json"
DATA = "train.jsonl"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

# Seconds before each further attempt at what may pass: a busy or restarting hub, a dropped connection
WAITS = (2, 8, 30)
# Seconds without an answer after which a question to the hub has failed
TIMEOUT = 30
# A data set lies on the disk three times while it is converted: as it came, as the library's table, as written
DATA_COPIES = 3

T = TypeVar("T")
logger = logging.getLogger(__name__)
# Every request, with the signatures in the addresses of large files, is not for a job's log
logging.getLogger("httpx2").setLevel(logging.WARNING)


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it: bytes, SHA-256 (large files, else None) and git's own hash of its content."""

    name: str
    size: int
    sha256: str | None
    blob: str

    @classmethod
    def of(cls, sibling: RepoSibling) -> "RemoteFile":
        """The description in the hub's listing of a repository."""
        large = sibling.lfs.sha256 if sibling.lfs else None
        return cls(sibling.rfilename, sibling.size, large, sibling.blob_id)

    def part(self, folder: Path) -> Path:
        """Where an unfinished download lies; named after the content, so that revisions are never mixed."""
        return folder / f".{self.name}.{(self.sha256 or self.blob)[:16]}.part"

    def fault(self, path: Path) -> str | None:
        """What is wrong with a downloaded copy, or None: size, then SHA-256 or git's hash."""
        if (size := path.stat().st_size) != self.size:
            return f"has {size} bytes, the hub says {self.size}"
        if self.sha256:
            found, stated, kind = sha256(path), self.sha256, "sha256"
        else:
            found, stated, kind = git_hash(path.read_bytes()), self.blob, "git hash"
        return None if found == stated else f"has {kind} {found}, the hub says {stated}"


def download(repo: str, kind: str, revision: str | None, folder: Path) -> dict:
    """Download the files of a repository that are used into `folder` and record them there in `downloaded.json`.

    kind: `model` (the text files that a loader reads and *.safetensors, of the top level only) or `dataset`
    (train.jsonl, read with the `datasets` library, written as UTF-8). revision: a commit, branch or tag, None for the
    newest; it is resolved once and every file is of that commit. Files that are there and right are kept, unfinished
    ones go on, wrong ones and those of another revision are removed. The token is the one of HF_TOKEN or of the hub's
    own login. Returns the record: repo, revision (40 hex), sha256 (file name -> hash of the file in `folder`).
    Raises InputError, one line: what does not exist, where to accept terms, what is wrong with a file, how much disk
    is missing, or that the hub cannot be reached.
    """
    info = resolve(repo, kind, revision)
    files = _wanted(repo, kind, info.siblings)
    if info.gated:  # anyone may list such a repository's files, so ask for one before anything is done
        url = hf_hub_url(repo, files[0].name, repo_type=kind, revision=info.sha)
        with _explained(repo, kind, revision):
            _retried(lambda: get_hf_file_metadata(url, timeout=TIMEOUT))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    if kind == "dataset":
        copy = _data_copy(files[0], folder)
        _check_disk(repo, DATA_COPIES * files[0].size - _size(copy) - _size(files[0].part(copy.parent)), folder)
        with _explained(repo, kind, revision):
            _fetch_data(repo, info.sha, files[0], folder)
    else:
        missing = _tidy(files, folder)
        _check_disk(repo, sum(file.size - _size(file.part(folder)) for file in missing), folder)
        for file in missing:
            with _explained(repo, kind, revision):
                _fetch(repo, kind, info.sha, file, folder)
    # a model's large files have just been compared with the hub's hash; a data set is written anew
    stated = {file.name: file.sha256 for file in files if kind == "model"}
    hashes = {file.name: stated.get(file.name) or sha256(folder / file.name) for file in files}
    record = {"repo": repo, "revision": info.sha, "sha256": hashes}
    write_json(record, folder / RECORD)
    return record


def resolve(repo: str, kind: str, revision: str | None) -> ModelInfo | DatasetInfo:
    """What the hub says of a repository at a revision (None: the newest): `sha`, its commit, and `siblings`, its files.

    kind: `model` or `dataset`. Raises InputError, one line, when the hub does not give it.
    """
    with _explained(repo, kind, revision):
        info = _retried(
            lambda: HfApi().repo_info(repo, repo_type=kind, revision=revision, files_metadata=True, timeout=TIMEOUT)
        )
    if re.fullmatch("[0-9a-f]{40}", revision or "") and info.sha != revision:
        raise InputError(f"{repo}: asked for commit {revision}, the hub answers with {info.sha}")
    return info


def _wanted(repo: str, kind: str, siblings: list[RepoSibling]) -> list[RemoteFile]:
    """The files of a repository that are used; InputError where those that are needed are not there."""
    names = {sibling.rfilename for sibling in siblings if "/" not in sibling.rfilename}
    if kind == "dataset":
        wanted, needed = names & {DATA}, {DATA}
    else:
        weights = {name for name in names if is_weight_file(name)}
        if not weights and (pickled := sorted(name for name in names if name.endswith(PICKLED))):
            raise InputError(f"{repo}: only pickled weights ({pickled[0]}), which are never read; nothing downloaded")
        if not weights:
            raise InputError(f"{repo}: no *.safetensors at its top level; nothing downloaded")
        wanted, needed = weights | set(filter(is_text_file, names)), {"config.json"}
    if needed - wanted:
        raise InputError(f"{repo}: no {min(needed)} at its top level; nothing downloaded")
    return [RemoteFile.of(sibling) for sibling in siblings if sibling.rfilename in wanted]


def _tidy(files: list[RemoteFile], folder: Path) -> list[RemoteFile]:
    """Remove a model's files that are wrong or of another revision; returns those that are still to be downloaded."""
    kept = {file.name: file for file in files}
    parts = {file.part(folder) for file in files}
    for path in [*folder.glob("*.safetensors"), *text_files(folder), *folder.glob(".*.part")]:
        if path.is_file() and path not in parts and (path.name not in kept or kept[path.name].fault(path)):
            logger.info("%s: not of this revision, removed", path)
            path.unlink()
    return [file for file in files if not (folder / file.name).is_file()]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_disk(repo: str, needed: int, folder: Path) -> None:
    """Raise InputError when `needed` bytes do not fit on the folder's disk."""
    if needed > (free := shutil.disk_usage(folder).free):
        raise InputError(f"{folder}: {repo} needs {needed:,} bytes more, {free:,} are free")


def _fetch(repo: str, kind: str, commit: str, file: RemoteFile, folder: Path) -> None:
    """Download one file into `folder`, going on with what is there of it, and check it."""
    part = file.part(folder)

    def attempt() -> None:
        with part.open("ab") as target:
            http_get(
                hf_hub_url(repo, file.name, repo_type=kind, revision=commit),
                target,
                resume_size=target.tell(),
                # uncompressed, so that sizes and ranges count the file's own bytes
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                displayed_filename=file.name,
            )

    if _size(part) < file.size or not part.exists():
        _retried(attempt)
    _check(repo, file, part)
    put(part, folder / file.name)


def _check(repo: str, file: RemoteFile, path: Path) -> None:
    """Raise InputError and remove a downloaded file that is not what the hub describes."""
    if fault := file.fault(path):
        path.unlink()
        raise InputError(f"{repo}: the downloaded {file.name} {fault}; it was removed, run again to download it anew")


def _data_copy(file: RemoteFile, folder: Path) -> Path:
    """Where a data set lies as it came until it is converted; named after the content, as an unfinished download."""
    return folder / ".cache" / (file.sha256 or file.blob)[:16] / file.name


def _fetch_data(repo: str, commit: str, file: RemoteFile, folder: Path) -> None:
    """Download a data set, read it with the `datasets` library and write its rows as JSON lines, without ASCII escapes.

    Only the data file is fetched, so that a loading script beside it is never looked at. The copies are kept in
    `folder` until the rows are written.
    """
    import datasets  # takes seconds, and a model does without

    copy, cache = _data_copy(file, folder), folder / ".cache"
    (folder / file.name).unlink(missing_ok=True)
    for other in set(cache.glob("*")) - {copy.parent}:  # of another revision, or half converted
        shutil.rmtree(other)
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.is_file() and file.fault(copy):
        copy.unlink()
    if not copy.is_file():
        _fetch(repo, "dataset", commit, file, copy.parent)
    try:
        rows = datasets.load_dataset("json", data_files=str(copy), split="train", cache_dir=str(cache / "datasets"))
        with atomic(folder / file.name) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as target:
            target.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except (datasets.exceptions.DatasetBuildError, StopIteration, TypeError) as error:  # malformed, empty, not text
        if any(map(full_disk, _causes(error))):
            shutil.rmtree(cache / "datasets", ignore_errors=True)
            raise InputError(f"{folder}: no disk space left to convert {file.name}; make room and run again") from None
        shutil.rmtree(cache)
        reason = _short(error.__cause__ or error)
        raise InputError(f"{repo}: {file.name} cannot be read as JSON lines of text ({reason})") from None
    shutil.rmtree(cache)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _transient(error: BaseException) -> bool:
    """Whether another attempt may help: no answer, a broken one, or one that says the hub is busy or failing."""
    return any(
        cause.response.status_code in (408, 429) or cause.response.status_code >= 500
        if isinstance(cause, HfHubHTTPError)
        else isinstance(cause, httpx2.TransportError)
        for cause in _causes(error)
    )


def _retried(call: Callable[[], T]) -> T:
    """The result of `call`, tried again after each of WAITS while its errors are of the kind that passes."""
    for wait in WAITS:
        try:
            return call()
        except Exception as error:
            if not _transient(error):
                raise
            logger.warning("%s; trying again in %s s", _short(error), wait)
            time.sleep(wait)
    return call()


def _short(error: BaseException) -> str:
    """An error on one line, without the client's reading advice."""
    text = re.sub(r"For more information check: \S+", "", str(error))
    return " ".join(text.split())[:200] or type(error).__name__


@contextmanager
def _explained(repo: str, kind: str, revision: str | None) -> Iterator[None]:
    """Turn the client's errors into one line on what the user can do."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        for cause in _causes(error):
            if message := _message(cause, repo, kind, revision):
                raise InputError(message) from None
        raise


def _message(error: BaseException, repo: str, kind: str, revision: str | None) -> str | None:
    """What a user should read of a client's error; None where it is not one of the client's."""
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case GatedRepoError() if status == 401:
            return f"{repo} is gated: accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
        case GatedRepoError():
            return (
                f"{repo} is gated and your token has no access: accept its terms at {page} with the token's account "
                "(a fine-grained token must also be allowed to read gated repositories)"
            )
        case RevisionNotFoundError():
            return f"{repo}: revision {revision} does not exist; see {page}/commits/main"
        case RepositoryNotFoundError():
            return (
                f"{repo}: no such {kind} on the hub, or a private one "
                f"(log in with `hf auth login` or set HF_TOKEN); {page}"
            )
        case HFValidationError():
            return f"repo: {repo!r} is not a name of the hub (expected owner/name)"
        case OfflineModeIsEnabled():
            return f"{repo}: HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or name a local copy as `path`"
        case HfHubHTTPError() if status in (401, 403):
            return f"{repo}: the hub refuses the token ({_short(error)}); log in with `hf auth login` or set HF_TOKEN"
        case OSError(errno=28 | 122):  # ENOSPC, EDQUOT
            return f"{repo}: no disk space left; make room, then run again to go on"
        case OSError() if "Consistency check failed" in str(error):
            return f"{repo}: a downloaded file is truncated ({_short(error)}); run again to download it anew"
        case HfHubHTTPError() | httpx2.HTTPError() | FileMetadataError():
            return (
                f"{repo}: the hub cannot be reached or fails ({_short(error)}); "
                "run again to go on, or name a local copy as `path`"
            )
    return None
