# What Snakefile and workflow/Snakefile include: rules that Snakemake fetched from a forge find each other from a folder of
# the repository, and not from its top. Each has the rule `all` itself, since what is included sets no default target.
include: "storage.smk"
include: "common.smk"
include: "shell.smk"
include: "helpers.smk"
include: "params.smk"
include: "inputs.smk"
include: "records.smk"
include: "network_inputs.smk"
include: "study_inputs.smk"
include: "fetch.smk"
include: "data.smk"
include: "segment.smk"
include: "select.smk"
include: "correct.smk"
include: "evaluate.smk"
include: "pictures.smk"
include: "baseline.smk"
include: "studies.smk"
include: "report.smk"
include: "micro_models.smk"
include: "micro_lavt.smk"
include: "targets.smk"


# the default target: all that `ssc demo` reads, which nobody would make again else
MAIN_JOB = [
    f"{RESULTS}/refcoco/eval_val.json",
    f"{RESULTS}/refcoco/eval_val.parquet",
    f"{RESULTS}/refcoco/eval_val.png",
    f"{RESULTS}/refcoco/eval_masks_val.json",
    f"{RESULTS}/refcoco/eval_masks_val.parquet",
    f"{RESULTS}/refcoco/eval_pretrained_val.json",
    f"{RESULTS}/refcoco/val/repaired.png",
]
