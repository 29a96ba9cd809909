import shlex
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# Tables and results are named relative to this folder.
if Path(workflow.basedir).resolve() != Path.cwd().resolve() or not Path("workflow_scripts").is_dir():
    sys.exit(
        f"error: {workflow.basedir}: the workflow runs in its own folder, so go there first (`cd`); `-s` or `--directory` "
        "with another folder and `module:` are not supported, but `results` may be a link to a folder elsewhere"
    )
sys.path.insert(0, "workflow_scripts")
# Snakemake puts this path into the command of every script as it stands; `.venv` may lie in a folder with a space.
sys.executable = shlex.quote(sys.executable)


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/train.smk"
include: "rules/probe.smk"
include: "rules/curve.smk"
include: "rules/decode.smk"
include: "rules/language.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"


report: "report/workflow.rst"


rule all:
    input:
        figure_files(RUN),
