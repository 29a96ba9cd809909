"""Downloads from the Hugging Face hub: one commit, only the files that are used, each verified after the download.

Each file is fetched with the hub client's `http_get` into a file of ours, and not with `hf_hub_download` or
`snapshot_download`: these write to a new temporary file in every call, so that an interrupted download starts again,
do not retry a failing file server, and leave temporary files of killed processes and their own records behind.
"""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

# Seconds before each further attempt after a temporary failure: a busy or restarting hub, a dropped connection
WAITS = (2, 8, 30)
# Seconds without an answer after which a request to the hub has failed
TIMEOUT = 30
# A data set is on the disk three times while it is converted: as downloaded, as the library's table, as written
DATA_COPIES = 3

T = TypeVar("T")
logger = logging.getLogger(__name__)
# A job's log does not list the requests, whose addresses contain signatures
logging.getLogger("httpx2").setLevel(logging.WARNING)


def download(repo: str, kind: str, revision: str | None, folder: Path) -> dict:
    """Download the used files of a repository into `folder` and record them there in `downloaded.json`.

    kind: `model` (the text files that a loader reads and *.safetensors, of the top level only) or `dataset`
    (train.jsonl, read with the `datasets` library, written as UTF-8). revision: a commit, branch or tag, None for the
    newest; it is resolved once and every file is of that commit. Existing files with the right content stay, unfinished
    ones are completed, others that a loader would read are removed. The token is that of HF_TOKEN or of `hf auth
    login`. Returns the record: repo, revision (40 hex), sha256 (file name -> hash of the file in `folder`).
    Raises InputError, one line: what does not exist, where to accept terms, what is wrong with a file, how much disk
    space is missing, or that the hub cannot be reached.
    """
    info = resolve(repo, kind, revision)
    files = _used_files(repo, kind, info.siblings)
    if info.gated:  # anyone may list the files of a gated repository, so access to one is checked first
        url = hf_hub_url(repo, files[0].rfilename, repo_type=kind, revision=info.sha)
        with _explained(repo, kind, revision):
            _retried(lambda: get_hf_file_metadata(url, timeout=TIMEOUT))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    if kind == "dataset":
        copy = _data_copy(files[0], folder)
        _check_disk(repo, DATA_COPIES * files[0].size - _size(copy) - _size(_part(files[0], copy.parent)), folder)
        with _explained(repo, kind, revision):
            _fetch_data(repo, info.sha, files[0], folder)
    else:
        missing = _remove_wrong_files(files, folder)
        _check_disk(repo, sum(file.size - _size(_part(file, folder)) for file in missing), folder)
        for file in missing:
            with _explained(repo, kind, revision):
                _fetch(repo, kind, info.sha, file, folder)
    # the SHA-256 of a model's large files has just been verified; a data set's rows were written anew
    verified = {file.rfilename: file.lfs.sha256 for file in files if kind == "model" and file.lfs}
    hashes = {name: verified.get(name) or sha256(folder / name) for name in (file.rfilename for file in files)}
    record = {"repo": repo, "revision": info.sha, "sha256": hashes}
    write_json(record, folder / RECORD)
    return record


def resolve(repo: str, kind: str, revision: str | None) -> ModelInfo | DatasetInfo:
    """The hub's description of a repository at a revision (None: the newest): commit `sha` and files `siblings`.

    kind: `model` or `dataset`. Raises InputError, one line, where the hub gives no description.
    """
    with _explained(repo, kind, revision):
        info = _retried(
            lambda: HfApi().repo_info(repo, repo_type=kind, revision=revision, files_metadata=True, timeout=TIMEOUT)
        )
    if re.fullmatch("[0-9a-f]{40}", revision or "") and info.sha != revision:
        raise InputError(f"{repo}: asked for commit {revision}, the hub answers with {info.sha}")
    return info


def _used_files(repo: str, kind: str, siblings: list[RepoSibling]) -> list[RepoSibling]:
    """The files of a repository that are used; InputError where a necessary one is missing."""
    names = {sibling.rfilename for sibling in siblings if "/" not in sibling.rfilename}
    if kind == "dataset":
        used, needed = names & {DATA}, {DATA}
    else:
        weights = {name for name in names if is_weight_file(name)}
        if not weights and (pickled := sorted(name for name in names if name.endswith(PICKLED))):
            raise InputError(f"{repo}: only pickled weights ({pickled[0]}), which are never read; nothing downloaded")
        if not weights:
            raise InputError(f"{repo}: no *.safetensors at its top level; nothing downloaded")
        used, needed = weights | set(filter(is_text_file, names)), {"config.json"}
    if needed - used:
        raise InputError(f"{repo}: no {min(needed)} at its top level; nothing downloaded")
    return [sibling for sibling in siblings if sibling.rfilename in used]


def _remove_wrong_files(files: list[RepoSibling], folder: Path) -> list[RepoSibling]:
    """Remove a model's files that are damaged or of another revision; returns the files that must be downloaded."""
    by_name = {file.rfilename: file for file in files}
    parts = {_part(file, folder) for file in files}
    for path in [*folder.glob("*.safetensors"), *text_files(folder), *folder.glob(".*.part")]:
        if path.is_file() and path not in parts and (path.name not in by_name or _fault(by_name[path.name], path)):
            logger.info("%s: not of this revision, removed", path)
            path.unlink()
    return [file for file in files if not (folder / file.rfilename).is_file()]


def _digest(file: RepoSibling) -> str:
    """The hub's hash of a file: SHA-256 of a large file (LFS), else git's hash of its content."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def _part(file: RepoSibling, folder: Path) -> Path:
    """Path of an unfinished download; named after the content, so that revisions are never mixed."""
    return folder / f".{file.rfilename}.{_digest(file)[:16]}.part"


def _fault(file: RepoSibling, path: Path) -> str | None:
    """The difference of a downloaded copy from the hub's description, or None; the size is compared before the hash."""
    if (size := path.stat().st_size) != file.size:
        return f"has {size} bytes, the hub says {file.size}"
    kind, digest = ("sha256", sha256(path)) if file.lfs else ("git hash", git_hash(path.read_bytes()))
    return None if digest == _digest(file) else f"has {kind} {digest}, the hub says {_digest(file)}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_disk(repo: str, needed: int, folder: Path) -> None:
    """Raise InputError when `needed` bytes do not fit on the folder's disk."""
    if needed > (free := shutil.disk_usage(folder).free):
        raise InputError(f"{folder}: {repo} needs {needed:,} bytes more, {free:,} are free")


def _fetch(repo: str, kind: str, commit: str, file: RepoSibling, folder: Path) -> None:
    """Download one file into `folder`, continuing an unfinished download, and verify it."""
    part = _part(file, folder)

    def attempt() -> None:
        with part.open("ab") as target:
            http_get(
                hf_hub_url(repo, file.rfilename, repo_type=kind, revision=commit),
                target,
                resume_size=target.tell(),
                # uncompressed, so that sizes and ranges count the file's own bytes
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                displayed_filename=file.rfilename,
            )

    if _size(part) < file.size or not part.exists():
        _retried(attempt)
    if fault := _fault(file, part):
        part.unlink()
        raise InputError(
            f"{repo}: the downloaded {file.rfilename} {fault}; it was removed, run again to download it once more"
        )
    put(part, folder / file.rfilename)


def _data_copy(file: RepoSibling, folder: Path) -> Path:
    """Path of a data set as downloaded, until it is converted; named after the content, as an unfinished download."""
    return folder / ".cache" / _digest(file)[:16] / file.rfilename


def _fetch_data(repo: str, commit: str, file: RepoSibling, folder: Path) -> None:
    """Download a data set, read it with the `datasets` library and write its rows as JSON lines, without ASCII escapes.

    Only the data file is downloaded, never a loading script. The copies stay in `folder` until the rows are written.
    """
    import datasets  # takes seconds, and models do not need it

    copy, cache = _data_copy(file, folder), folder / ".cache"
    (folder / file.rfilename).unlink(missing_ok=True)
    for other in set(cache.glob("*")) - {copy.parent}:  # of another revision, or half converted
        shutil.rmtree(other)
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.is_file() and _fault(file, copy):
        copy.unlink()
    if not copy.is_file():
        _fetch(repo, "dataset", commit, file, copy.parent)
    try:
        rows = datasets.load_dataset("json", data_files=str(copy), split="train", cache_dir=str(cache / "datasets"))
        with (
            atomic(folder / file.rfilename) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as target,
        ):
            target.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except (datasets.exceptions.DatasetBuildError, StopIteration, TypeError) as error:  # malformed, empty, not text
        if any(map(full_disk, _causes(error))):
            shutil.rmtree(cache / "datasets", ignore_errors=True)
            raise InputError(
                f"{folder}: no disk space left to convert {file.rfilename}; make room and run again"
            ) from None
        shutil.rmtree(cache)
        reason = _short(error.__cause__ or error)
        raise InputError(f"{repo}: {file.rfilename} cannot be read as JSON lines of text ({reason})") from None
    shutil.rmtree(cache)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _transient(error: BaseException) -> bool:
    """Whether another attempt may help: no answer, an incomplete one, or a status of a busy or failing hub."""
    return any(
        cause.response.status_code in (408, 429) or cause.response.status_code >= 500
        if isinstance(cause, HfHubHTTPError)
        else isinstance(cause, httpx2.TransportError)
        for cause in _causes(error)
    )


def _retried(call: Callable[[], T]) -> T:
    """The result of `call`, tried again after each of WAITS while its errors are temporary."""
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
    """An error on one line, without the client's links to documentation."""
    text = re.sub(r"For more information check: \S+", "", str(error))
    return " ".join(text.split())[:200] or type(error).__name__


@contextmanager
def _explained(repo: str, kind: str, revision: str | None) -> Iterator[None]:
    """Turn the client's errors into an InputError: one line on what the user can do."""
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
    """The message for the user about one of the client's errors; None for other errors."""
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
            return f"{repo}: a downloaded file is truncated ({_short(error)}); run again to download it once more"
        case HfHubHTTPError() | httpx2.HTTPError() | FileMetadataError():
            return (
                f"{repo}: the hub cannot be reached or fails ({_short(error)}); "
                "run again to go on, or name a local copy as `path`"
            )
    return None
