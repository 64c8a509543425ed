# results/report/select.html: the ways to select that `compare` of the config names, side by side.


COMPARED = f"{RESULTS}/{SETTINGS.compare.dataset}"
COMPARED_SPLIT = f"{COMPARED}/{SETTINGS.compare.split}"


use rule score_candidates as score_variant with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
    output:
        scores=f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/scores.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/logs/score_variant.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/benchmarks/score_variant.tsv"
    params:
        settings=variant_section("score"),
        backend=lambda wildcards: backend_state(
            SETTINGS.variant_score(wildcards.variant).backend
        ),
    message:
        "{wildcards.dataset} {wildcards.split}: scoring candidates, variant {wildcards.variant}"


use rule select_masks as select_variant with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
        scores=variant_scores,
    output:
        selected=f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/selected.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/logs/select_variant.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/select/{{variant}}/benchmarks/select_variant.tsv"
    params:
        settings=variant_section("select"),
    message:
        "{wildcards.dataset} {wildcards.split}: selecting, variant {wildcards.variant}"


rule evaluate_variants:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
        selected=f"{RESULTS}/{{dataset}}/{{split}}/selected.h5",
        variants=expand(
            "{folder}/{{dataset}}/{{split}}/select/{variant}/selected.h5",
            folder=RESULTS,
            variant=SETTINGS.compare.variants,
        ),
    output:
        report=f"{RESULTS}/{{dataset}}/{{split}}/select/eval.json",
        rows=f"{RESULTS}/{{dataset}}/{{split}}/select/eval.parquet",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/select/logs/evaluate_variants.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/select/benchmarks/evaluate_variants.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=section("evaluate"),
        select=section("select"),
        compat=compat("oiou_skips_empty", "merged_masks", "blind_to_size"),
        names=["selected", *SETTINGS.compare.variants],
        code=code("evaluate_variants"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating {params.names}"
    shell:
        job(
            "evaluate_variants",
            "--refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}",
            "--masks {input.masks:q} --selections {input.selected:q} {input.variants:q} --names {params.names:q}",
            "--split {wildcards.split:q} --settings {params.settings:q} --select {params.select:q}",
            "--compat {params.compat:q} --code {params.code:q} --report {output.report:q}",
        )


rule select_report:
    input:
        refs=f"{COMPARED}/refs.parquet",
        truth=f"{COMPARED}/truth.h5",
        masks=f"{COMPARED_SPLIT}/masks.h5",
        scores=f"{COMPARED_SPLIT}/scores.h5",
        selected=f"{COMPARED_SPLIT}/selected.h5",
        evaluation=f"{COMPARED_SPLIT}/select/eval.json",
        rows=f"{COMPARED_SPLIT}/select/eval.parquet",
    output:
        page=f"{RESULTS}/report/select.html",
        figures=f"{RESULTS}/report/select.json",
        table=f"{RESULTS}/report/select.csv",
    log:
        f"{RESULTS}/report/logs/select_report.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/select_report.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        compare=section("compare"),
        select=section("select"),
        images=lambda wildcards: images_of(SETTINGS.compare.dataset),
        code=code("select_report"),
    message:
        "writing the comparison of ways to select"
    shell:
        job(
            "select_report",
            "--refs {input.refs:q} --truth {input.truth:q} --masks {input.masks:q}",
            "--scores {input.scores:q} --selected {input.selected:q} --evaluation {input.evaluation:q}",
            "--images {params.images:q} --compare {params.compare:q} --select {params.select:q}",
            "--page {output.page:q} --figures {output.figures:q} --table {output.table:q}",
        )
