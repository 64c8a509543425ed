from snakemake.utils import min_version

min_version("9.27")


include: "rules/all.smk"


rule all:
    default_target: True
    input:
        MAIN_JOB,
