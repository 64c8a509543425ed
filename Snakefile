from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/shell.smk"
include: "rules/inputs.smk"
include: "rules/fetch.smk"
include: "rules/data.smk"
include: "rules/segment.smk"
include: "rules/contact_sheet.smk"
include: "rules/select.smk"
include: "rules/correct.smk"
include: "rules/controls.smk"
include: "rules/evaluate.smk"
include: "rules/evaluate_masks.smk"
include: "rules/choose.smk"
include: "rules/ablation_space.smk"
include: "rules/report.smk"
include: "rules/results_space.smk"
include: "rules/results.smk"
include: "rules/ablation_stages.smk"
include: "rules/ablation_training.smk"
include: "rules/ablations.smk"
include: "rules/select_report.smk"
include: "rules/micro_models.smk"
include: "rules/targets.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/refcoco/eval_val.json",
        f"{RESULTS}/refcoco/eval_masks_val.json",
