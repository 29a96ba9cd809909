"""Where models and data sets come from, and what tells that they have changed."""


def asked(row, kind, name):
    """What a download is asked for: repository and commit of the row.

    A row that says no more than what is there (the newest commit, now pinned) asks what was asked before: nothing reruns.
    """
    wanted = {key: row[key] for key in ("repo", "revision") if key in row}
    record = Path(f"results/downloads/{kind}s/{name}/downloaded.json")
    there = json.loads(record.read_text()) if record.is_file() else {}
    same = all(there.get(key) == value for key, value in wanted.items())
    return there["asked"] if same and "asked" in there else wanted


def checkpoint_source(wildcards):
    """The folder a model's files come from: the row's own, the one it is downloaded to, or the one it is trained in."""
    row, model = MODEL_ROWS[wildcards.model], wildcards.model
    if "language" in row:
        return None
    return row.get("path") or (f"results/downloads/models/{model}" if "repo" in row else f"results/training/{model}")


def checkpoint_files(wildcards):
    """What a model is made of, so that replacing its weights is noticed: a folder's files, or the record of a job."""
    source, row = checkpoint_source(wildcards), MODEL_ROWS[wildcards.model]
    if "language" in row:
        return []
    if "path" in row:
        return [path.as_posix() for path in sorted(Path(source).iterdir()) if is_used(path.name)]
    return f"{source}/downloaded.json" if "repo" in row else f"{source}/training.json"


def checkpoint_content(wildcards):
    """What the files of a model's own folder hold."""
    own = "path" in MODEL_ROWS[wildcards.model]
    return {path: content(path) for path in checkpoint_files(wildcards)} if own else None


def dataset_path(wildcards):
    """The file a data set is read from, where it is read from one: the row's own or the downloaded one."""
    row = DATASET_ROWS[wildcards.dataset]
    return row.get("path") or (f"results/downloads/datasets/{wildcards.dataset}/train.jsonl" if "repo" in row else None)


def dataset_file(wildcards):
    """What says that the data set's file has changed: the file itself, or the record of its download."""
    row = DATASET_ROWS[wildcards.dataset]
    return row.get("path") or (
        f"results/downloads/datasets/{wildcards.dataset}/downloaded.json" if "repo" in row else []
    )


def dataset_content(wildcards):
    """What a data set's own file holds, so that another file with an old date is noticed."""
    path = DATASET_ROWS[wildcards.dataset].get("path")
    return content(path) if path else None


def dataset_row(wildcards):
    """What a data set is built from: its row with the path that holds its file, without what is only read later."""
    row = {**DATASET_ROWS[wildcards.dataset], "path": dataset_path(wildcards)}
    if row["path"]:
        row["empty_prompts"] = config["empty_prompts"]
    return {key: value for key, value in row.items() if key not in ("example", "licence")}
