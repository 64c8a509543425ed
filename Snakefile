from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/shell.smk"
include: "rules/helpers.smk"
include: "rules/params.smk"
include: "rules/inputs.smk"
include: "rules/network_inputs.smk"
include: "rules/study_inputs.smk"
include: "rules/fetch.smk"
include: "rules/data.smk"
include: "rules/segment.smk"
include: "rules/select.smk"
include: "rules/correct.smk"
include: "rules/evaluate.smk"
include: "rules/pictures.smk"
include: "rules/baseline.smk"
include: "rules/studies.smk"
include: "rules/report.smk"
include: "rules/micro_models.smk"
include: "rules/micro_lavt.smk"
include: "rules/targets.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/refcoco/eval_val.json",
        f"{RESULTS}/refcoco/eval_val.png",
        f"{RESULTS}/refcoco/eval_masks_val.json",
        f"{RESULTS}/refcoco/eval_pretrained_val.json",
        f"{RESULTS}/refcoco/val/repaired.png",
