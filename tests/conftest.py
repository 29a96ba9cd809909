"""What several test files share: one finished small run of the whole workflow."""

import pytest

import tiny
from project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Two tiny models, a judge and the languages, with a few steps and samples: every figure, run once, on two cores.

    Whoever changes it puts it back, files and settings: other tests ask what a run of it would do.
    """
    made = small_run(tmp_path_factory.mktemp("finished") / "copy")
    made.snakemake("--cores", "2", "all", "curves")
    return made


def small_run(folder) -> Project:
    """The project of that run, before it."""
    made = Project(folder)
    tiny.write_transformers(made.folder / "weights/judge", "gpt2")
    made.models.update(
        {
            "judge": {"family": "autoregressive", "path": "weights/judge"},
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
        decode={"decoders": ["random"], "steps": [1, 8], "span": 8, "prompts": 4, "judge": "judge", "rescored": 4},
        curve={"prompts": 5, "span": 8, "steps": [1, 4, 8], "sentences": 20},
        language={
            "models": ["grammar-oracle"],
            "decoders": ["random", "optimal"],
            "steps": [1, 12],
            "temperatures": [1.0],
            "samples": 40,
            "sentences": 20,
            "toys": ["toy-oracle", "abab-oracle"],
        },
    )
    made.config["tables"]["decoders"] = "decoders.yaml"
    made.write()
    return made
