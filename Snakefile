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


configfile: "config/config.yaml"


include: "rules/common/settings.smk"
include: "rules/common/parameters.smk"
include: "rules/common/shards.smk"
include: "rules/common/resources.smk"
include: "rules/common/sources.smk"
include: "rules/common/checks.smk"
include: "rules/fetch.smk"
include: "rules/train.smk"
include: "rules/probe.smk"
include: "rules/curve.smk"
include: "rules/decode.smk"
include: "rules/language.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"


# Rules of a second or two: on a cluster they run beside Snakemake, where a job of their own would cost 6-7 s each.
localrules:
    prompts,
    model,
    merge_probe,
    top3_table,
    frequency_collapse_table,
    information_decay_table,
    price_of_parallelism_table,
    incoherence_table,
    smooth_corruption_table,
    marginal_trap_steps_table,
    plot_top3,
    plot_frequency_collapse,
    plot_incoherence,
    plot_information_decay,
    plot_price_of_parallelism,
    plot_smooth_corruption,
    plot_marginal_trap_steps,
    plot_marginal_trap_toy,


report: "report/workflow.rst"


rule all:
    input:
        figures(),


for made in workflow.rules:
    prepare(made)
