"""What several test files share: one finished small run of the whole workflow, and the style of figures."""

import warnings
from pathlib import Path

import matplotlib
import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

import tiny
from discreteness.figures import plotting
from hub_server import Hub, Repo, read_folder
from project import Project

TRAINING = {
    "data": "toy",
    "threads": 1,
    "tokenizer": "words",
    "start": "random",
    "vocab_size": 16,
    "d_model": 8,
    "n_layers": 1,
    "n_heads": 2,
    "mlp_hidden_size": 8,
    "max_sequence_length": 8,
    "max_prompt_length": 2,
    "learning_rate": 0.004,
    "warmup_steps": 1,
    "decay": 0.8,
    "weight_decay": 0.0,
    "full_mask_share": 0.0,
    "prompt_dropout": 0.0,
    "text_share": 0.0,
    "phases": [{"steps": 20, "spans": [3, 3], "batch_size": 16}],
}


# Files whose tests use the finished run
SHARING = {"test_determinism.py", "test_reruns.py", "test_trap_workflow.py", "test_workflow.py"}


def pytest_configure(config):
    """Processes that share the tests compute with one thread each."""
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)


def group(file: str) -> str:
    """What stays in one process: the files that share the finished run, else a file."""
    return "finished" if file in SHARING else file


def pytest_collection_modifyitems(items):
    """Tests that run workflows first, as they take longest; those of a group in a row."""
    items.sort(key=lambda item: (not hasattr(item.module, "Project"), item.path.name not in SHARING, item.path.name))


class Scheduling(LoadScopeScheduling):
    """Shares groups out to the processes of `pytest -n`."""

    def _split_scope(self, nodeid: str) -> str:
        return group(Path(nodeid.split("::")[0]).name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


@pytest.fixture
def style():
    """The project's style of figures, in small files; a warning is an error (one is of a glyph that no font has)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.use_style()
        matplotlib.rcParams["savefig.dpi"] = 60
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of every figure, on two cores: two tiny models, one of them downloaded, a judge, the languages.

    Whoever changes it puts it back, files and settings: other tests ask what a run of it would do.
    """
    made = small_run(tmp_path_factory.mktemp("finished") / "copy")
    with Hub(Repo("org/two", "model", read_folder(made.folder / "weights/two"))) as hub:
        made.snakemake("--cores", "2", timeout=1200, HF_ENDPOINT=hub.url, HF_HOME=str(made.folder / "home"))
    return made


def small_run(folder) -> Project:
    """The project of that run, before it."""
    made = Project(folder)
    tiny.write_transformers(made.folder / "weights/judge", "gpt2")
    made.models.update(
        {
            "two": {"family": "llada", "repo": "org/two"},
            "judge": {"family": "autoregressive", "path": "weights/judge"},
            "toy-micro": {"family": "llada", "train": TRAINING},
            **{f"{name}-oracle": {"family": "oracle", "language": name} for name in ("toy", "abab", "grammar")},
        }
    )
    made.datasets.update(
        {"toy": {"kind": "toy"}, "abab": {"kind": "toy", "language": "abab"}, "grammar": {"kind": "grammar"}}
    )
    made.decoders = {
        "random": {"order": "random", "temperature": 1.0, "forbid": ["mask"]},
        "bound": {"order": "entropy_bound", "gamma": 1.0, "forbid": ["mask"]},
        "optimal": {"order": "random", "temperature": 1.0, "step_sizes": "optimal", "forbid": ["mask"]},
    }
    made.config.update(
        shard_size=100,
        decode={"decoders": ["random"], "steps": [1, 8], "span": 8, "prompts": 8, "judge": "judge", "rescored": 4},
        curve={"prompts": 8, "span": 8, "steps": [1, 4, 8], "sentences": 20},
        language={
            "models": ["grammar-oracle"],
            "decoders": ["random", "optimal"],
            "steps": [1, 12],
            "temperatures": [1.0],
            "samples": 40,
            "sentences": 20,
            "toys": ["toy-oracle", "toy-micro", "abab-oracle"],
        },
    )
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    return made
