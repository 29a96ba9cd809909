"""What a user reads when the hub cannot give what a row names."""

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from discreteness.errors import InputError
from discreteness.hub import download


def raising(error):
    """A stand-in for the hub's answer: an error of the client's own kind (they want an HTTP response to be made)."""

    def repo_info(*_, **__):
        raise error.__new__(error)

    return repo_info


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError, r"accept its terms at https://huggingface.co/datasets/a/b, then log in"),
        (RepositoryNotFoundError, r"a/b: no such dataset on the hub"),
        (RevisionNotFoundError, r"a/b: revision main does not exist"),
    ],
)
def test_answers_of_the_hub(monkeypatch, tmp_path, error, message):
    monkeypatch.setattr(HfApi, "repo_info", raising(error))
    with pytest.raises(InputError, match=message):
        download("a/b", "dataset", "main", tmp_path)


def test_no_connection(monkeypatch, tmp_path):
    """The real client against a port where nobody listens."""
    monkeypatch.setattr(HfApi, "__init__", lambda self: _at(self, "http://127.0.0.1:9"))
    with pytest.raises(InputError, match=r"a/b: the hub cannot be reached \(.*; run again to go on"):
        download("a/b", "model", None, tmp_path)


def _at(api, endpoint):
    api.endpoint, api.token = endpoint, None
    api.library_name = api.library_version = api.user_agent = api.headers = None
