"""What is checked before anything runs, and what is said last when something was wrong."""

import atexit
import time

from discreteness.workflow.cluster import check_none_left
from discreteness.workflow.dates import TOLERANCE, check_dates
from discreteness.denoisers import check_device
from discreteness.workflow.failures import failures, summary

STARTED = time.time()


def decoded():
    """What decoders are asked for, by the part of the configuration that names them."""
    asked = {"decode": {**DECODE, "temperatures": []}}
    if LANGUAGE["models"]:
        asked["language"] = {**LANGUAGE, "span": get_language(language_name(LANGUAGE["dataset"])).length}
    return asked


def own_files():
    """The files that rows name, and those of results, whose dates Snakemake goes by."""
    paths = [row["path"] for row in TABLES.datasets.values() if "path" in row]
    paths += [path for row in TABLES.models.values() if "path" in row for path in Path(row["path"]).glob("*.*")]
    return [*paths, *(path for path in Path("results").rglob("*") if "logs" not in path.parts)]


if workflow.is_main_process:
    with one_line():
        for note in decoder_rows.check_decoders(TABLES.decoders, decoded()):
            sys.stderr.write(f"note: {note}\n")
        if config["device"] not in ("auto", "cpu") and not on_cluster() and not has_gpu():
            check_device(config["device"])
        check_link("results")
        check_dates(own_files())


onstart:
    try:
        check_writable("results")
        if workflow.non_local_exec and default_resource("gpu_partition"):
            check_none_left(Path.cwd())
        if workflow.is_main_process:
            for result, (size, prompts) in SHARED_OUT.items():
                record_shards(result, size, prompts)
    except InputError as error:
        raise WorkflowError(str(error))


onerror:
    if workflow.is_main_process:  # after all that Snakemake still has to say, which is in its own log too
        atexit.register(sys.stderr.write, summary(failures("results/logs", STARTED - TOLERANCE), log))
