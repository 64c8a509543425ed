# Metrics of the trained network, and of the masks of Segment and Select.


rule evaluate:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=f"{RESULTS}/{{dataset}}/checkpoints/correct.pt",
    output:
        report=f"{RESULTS}/{{dataset}}/eval_{{split}}.json",
        sentences=f"{RESULTS}/{{dataset}}/eval_{{split}}.parquet",
        picture=f"{RESULTS}/{{dataset}}/eval_{{split}}.png",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_{{split}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_{{split}}.tsv"
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=240,
        device=SETTINGS.compute.device,
    params:
        settings=section("evaluate"),
        images=images_folder,
        code=code_version(
            "ssc_core.evaluate.model",
            "ssc_core.correct.predictor",
            "ssc_core.report.gallery",
        ),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating the corrected network"
    shell:
        "python -m workflow_scripts.evaluate --refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}"
        " --checkpoint {input.checkpoint:q} --images {params.images:q} --split {wildcards.split:q}"
        " --settings {params.settings:q} --device {resources.device:q} --threads {threads} --code {params.code}"
        " --method corrected --report {output.report:q} --picture {output.picture:q} 2>&1 | tee {log:q}"


rule evaluate_masks:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
        selected=f"{RESULTS}/{{dataset}}/{{split}}/selected.h5",
    output:
        report=f"{RESULTS}/{{dataset}}/eval_masks_{{split}}.json",
        candidates=f"{RESULTS}/{{dataset}}/eval_masks_{{split}}.parquet",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_masks_{{split}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_masks_{{split}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=section("evaluate"),
        select=section("select"),
        compat=compat("oiou_skips_empty"),
        code=code_version("ssc_core.evaluate.masks"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating candidates and selected masks"
    shell:
        "python -m workflow_scripts.evaluate_masks --refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}"
        " --masks {input.masks:q} --selected {input.selected:q} --split {wildcards.split:q}"
        " --settings {params.settings:q} --select {params.select:q} --compat {params.compat:q} --code {params.code}"
        " --report {output.report:q} 2>&1 | tee {log:q}"
