# A network's choice among Segment's candidates, sentence by sentence: its decision with Segment's outlines.
CHOOSERS = {"corrected": "correct", **METHOD_PHASES}


rule choose_candidates:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{SPLIT}/masks.h5",
        checkpoint=lambda wildcards: f"{RUN}checkpoints/{CHOOSERS[wildcards.method]}.pt",
    output:
        out=f"{RUN}{{split}}/chosen_{{method}}.h5",
    log:
        f"{RUN}{{split}}/logs/choose_candidates_{{method}}.log",
    benchmark:
        f"{RUN}{{split}}/benchmarks/choose_candidates_{{method}}.tsv"
    wildcard_constraints:
        method="|".join(CHOOSERS),
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(),
        gres=gres(),
        mem_mb=16000,
        runtime=240,
        device=SETTINGS.compute.device,
    params:
        images=images_folder,
        code=code("choose_candidates"),
    message:
        "{wildcards.dataset} {wildcards.run} {wildcards.split}: candidates that the {wildcards.method} network fits best"
    shell:
        job(
            "choose_candidates",
            "--refs {input.refs:q} --split {wildcards.split:q}",
            "--images {params.images:q} --masks {input.masks:q} --checkpoint {input.checkpoint:q}",
            "--device {resources.device:q} --threads {threads} --out {output.out:q}",
        )


rule evaluate_chosen:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        chosen=f"{RUN}{{split}}/chosen_{{method}}.h5",
    output:
        report=f"{RUN}eval_{{method}}_choice_{{split}}.json",
        sentences=f"{RUN}eval_{{method}}_choice_{{split}}.parquet",
    log:
        f"{RUN}logs/evaluate_{{method}}_choice_{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluate_{{method}}_choice_{{split}}.tsv"
    wildcard_constraints:
        method="|".join(CHOOSERS),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=section("evaluate"),
        code=code("evaluate_chosen"),
    message:
        "{wildcards.dataset} {wildcards.run} {wildcards.split}: evaluating what the {wildcards.method} network chose"
    shell:
        job(
            "evaluate_chosen",
            "--refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}",
            "--chosen {input.chosen:q} --split {wildcards.split:q} --method {wildcards.method:q}_choice",
            "--settings {params.settings:q} --code {params.code:q} --report {output.report:q}",
        )
