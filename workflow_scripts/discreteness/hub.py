"""Download from the Hugging Face hub: only files that are used, and one line on what is missing when it fails."""

from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from discreteness.checkpoint_folder import TEXT_FILES
from discreteness.errors import InputError

# What is downloaded of a repository, by its kind
FILES = {"model": [*TEXT_FILES, "*.safetensors"], "dataset": ["train.jsonl"]}


def download(repo: str, kind: str, revision: str | None, folder: Path) -> str:
    """Download the files of a repository that are used into `folder`; an interrupted download is gone on with.

    kind: `model` or `dataset`. The token is the one of the hub's own login or of the variable HF_TOKEN. Returns the
    commit that was downloaded. Raises InputError saying where to accept terms, what does not exist, or that the hub
    cannot be reached.
    """
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo}"
    try:
        commit = HfApi().repo_info(repo, repo_type=kind, revision=revision).sha
        snapshot_download(repo, repo_type=kind, revision=commit, allow_patterns=FILES[kind], local_dir=folder)
    except GatedRepoError:
        raise InputError(
            f"{repo} is gated: accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{repo}: revision {revision} does not exist; see {page}/commits/main") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{repo}: no such {kind} on the hub, or one that needs a login (`hf auth login`); {page}"
        ) from None
    except (HfHubHTTPError, httpx2.HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{repo}: the hub cannot be reached ({reason}); run again to go on, or name a local copy as `path`"
        ) from None
    return commit
