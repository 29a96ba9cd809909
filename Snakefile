from snakemake.utils import min_version

min_version("9.27")


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
        figures(),
