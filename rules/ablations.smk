# `snakemake ablations`: the config with one value changed at a time, measured.


rule ablations:
    input:
        table=f"{ABLATIONS}/table.csv",
        summary=f"{ABLATIONS}/summary.csv",
        plot=f"{ABLATIONS}/plot.svg",


rule ablations_table:
    input:
        evals=ablation_evals,
    output:
        table=report(
            f"{ABLATIONS}/table.csv",
            category="Ablations",
            labels={"what": "table"},
            caption="../docs/captions/ablations.rst",
        ),
        summary=f"{ABLATIONS}/summary.csv",
        plot=report(
            f"{ABLATIONS}/plot.svg",
            category="Ablations",
            labels={"what": "plot"},
            caption="../docs/captions/ablations.rst",
        ),
    log:
        f"{ABLATIONS}/logs/table.log",
    benchmark:
        f"{ABLATIONS}/benchmarks/table.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("ablations_table"),
    message:
        "writing the table of ablations"
    shell:
        job(
            "ablations_table",
            "--evals {input.evals:q} --table {output.table:q}",
            "--summary {output.summary:q} --plot {output.plot:q}",
        )


use rule evaluate_masks as ablation_evaluate_masks with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=from_stage("truth", "{dataset}/truth.h5"),
        data=f"{RESULTS}/{{dataset}}/data.json",
        masks=from_stage("masks", "{dataset}/{split}/masks.h5"),
        selected=from_stage("selected", "{dataset}/{split}/selected.h5"),
    output:
        report=f"{ROW}/eval_masks.json",
        candidates=f"{ROW}/eval_masks.parquet",
    log:
        f"{ROW}/logs/evaluate_masks.log",
    benchmark:
        f"{ROW}/benchmarks/evaluate_masks.tsv"
    params:
        chain=lambda wildcards: sections(
            *CHAIN, settings=row_variant(wildcards).settings
        ),
        compat=lambda wildcards: compat(
            "oiou_skips_empty",
            "merged_masks",
            "blind_to_size",
            settings=row_variant(wildcards).settings,
        ),
    message:
        "{wildcards.row}: evaluating candidates and selected masks"


use rule evaluate as ablation_evaluate with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=from_stage("truth", "{dataset}/truth.h5"),
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=from_stage("correct", "{dataset}/{run}checkpoints/correct.pt"),
    output:
        report=f"{ROW}/eval.json",
        sentences=f"{ROW}/eval.parquet",
        picture=f"{ROW}/eval.png",
    log:
        f"{ROW}/logs/evaluate.log",
    benchmark:
        f"{ROW}/benchmarks/evaluate.tsv"
    message:
        "{wildcards.row}: evaluating the corrected network"
