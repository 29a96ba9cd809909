"""Where models and data sets come from, and what tells that they have changed."""

import json
from pathlib import Path

from discreteness.hub.checkpoint_folder import is_used
from discreteness.workflow.configuration import Run
from discreteness.workflow.dates import content
from discreteness.workflow.rows import DatasetRow, ModelRow


def download_request(row: ModelRow | DatasetRow, record: str | Path) -> dict[str, str]:
    """What a download is asked for: repository and commit of the row.

    record: the download's `downloaded.json`. A row that says no more than what is there (the newest commit, now pinned)
    asks what was asked before, so that nothing reruns.
    """
    request = row.given("repo", "revision")
    present = json.loads(Path(record).read_text()) if Path(record).is_file() else {}
    same = all(present.get(key) == value for key, value in request.items())
    return present["asked"] if same and "asked" in present else request


def checkpoint_source(run: Run, model: str) -> str | None:
    """The folder a model's files come from: the row's own, the one it is downloaded to, or the one it is trained in."""
    row = run.models[model]
    if row.language:
        return None
    return row.path or (f"results/downloads/models/{model}" if row.repo else f"results/training/{model}")


def checkpoint_files(run: Run, model: str) -> list[str]:
    """What a model is made of, so that replacing its weights is noticed: a folder's files, or the record of a job."""
    row, source = run.models[model], checkpoint_source(run, model)
    if row.language:
        return []
    if row.path:
        return [path.as_posix() for path in sorted(Path(source).iterdir()) if is_used(path.name)]
    return [f"{source}/downloaded.json" if row.repo else f"{source}/training.json"]


def checkpoint_content(run: Run, model: str) -> dict | None:
    """What the files of a model's own folder hold; None for a model that a job makes."""
    return {path: content(path) for path in checkpoint_files(run, model)} if run.models[model].path else None


def dataset_files(run: Run, dataset: str) -> list[str]:
    """What says that a data set's file has changed: the file itself, or the record of its download."""
    row = run.datasets[dataset]
    if row.path:
        return [row.path]
    return [f"results/downloads/datasets/{dataset}/downloaded.json"] if row.repo else []


def dataset_content(run: Run, dataset: str) -> str | list[int] | None:
    """What a data set's own file holds, so that another file with an old date is noticed."""
    path = run.datasets[dataset].path
    return content(path) if path else None


def dataset_row(run: Run, dataset: str) -> dict:
    """What a data set is built from: its row with the path of its file, without what is only read later."""
    row = run.datasets[dataset]
    values = row.given(*(key for key in DatasetRow.model_fields if key not in ("example", "licence")))
    if row.repo and not row.path:
        values["path"] = f"results/downloads/datasets/{dataset}/train.jsonl"
    return {**values, "empty_prompts": run.settings.empty_prompts} if "path" in values else values


def own_files(run: Run) -> list[Path]:
    """The files outside of results that rows name, whose dates Snakemake goes by."""
    files = [Path(row.path) for row in run.datasets.values() if row.path]
    return files + [path for row in run.models.values() if row.path for path in Path(row.path).glob("*.*")]
