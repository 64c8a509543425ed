# Metrics of the masks of Segment and Select, and of the baseline that needs neither.
CHAIN = ("nouns", "detect", "segment", "score", "select")


use rule select_masks as select_jointly with:
    # the same scores, and different refs of a photo take different candidates: a row of the table
    output:
        selected=f"{SPLIT}/selected_jointly.h5",
    log:
        f"{SPLIT}/logs/select_jointly.log",
    benchmark:
        f"{SPLIT}/benchmarks/select_jointly.tsv"
    params:
        settings=json.dumps(
            {**json.loads(section("select")), "assignment": "joint"}, sort_keys=True
        ),
    message:
        "{wildcards.dataset} {wildcards.split}: selecting candidates jointly over a photo's refs"


rule evaluate_masks:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        masks=f"{SPLIT}/masks.h5",
        selected=f"{SPLIT}/selected.h5",
        joint=f"{SPLIT}/selected_jointly.h5",
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
        chain=sections(*CHAIN),
        compat=compat("oiou_skips_empty", "merged_masks", "blind_to_size"),
        joint=lambda wildcards, input: (
            f"--joint {shlex.quote(input.joint)}" if "joint" in input.keys() else ""
        ),
        code=code("evaluate_masks"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating candidates and selected masks"
    shell:
        job(
            "evaluate_masks",
            "--refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}",
            "--masks {input.masks:q} --selected {input.selected:q} {params.joint} --split {wildcards.split:q}",
            "--settings {params.settings:q} --chain {params.chain:q} --compat {params.compat:q} --code {params.code:q}",
            "--report {output.report:q}",
        )


rule ground_sentences:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        out=f"{SPLIT}/grounded.parquet",
    log:
        f"{SPLIT}/logs/ground_sentences.log",
    benchmark:
        f"{SPLIT}/benchmarks/ground_sentences.tsv"
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(),
        gres=gres(),
        mem_mb=16000,
        runtime=720,
        device=SETTINGS.compute.device,
    params:
        detect=section("detect"),
        segment=section("segment"),
        images=images_folder,
        detector=backend_state(SETTINGS.detect.backend),
        segmenter=backend_state(SETTINGS.segment.backend),
        code=code("ground_sentences"),
    message:
        "{wildcards.dataset} {wildcards.split}: asking the detector for whole sentences"
    shell:
        job(
            "ground_sentences",
            "--refs {input.refs:q} --images {params.images:q}",
            "--split {wildcards.split:q} --detect {params.detect:q} --segment {params.segment:q} --code {params.code:q}",
            "--device {resources.device:q} --threads {threads} --out {output.out:q}",
        )


rule evaluate_grounded:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        grounded=f"{SPLIT}/grounded.parquet",
    output:
        report=f"{RESULTS}/{{dataset}}/eval_grounded_sentence_{{split}}.json",
        sentences=f"{RESULTS}/{{dataset}}/eval_grounded_sentence_{{split}}.parquet",
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_grounded_{{split}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_grounded_{{split}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=section("evaluate"),
        code=code("evaluate_grounded"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating the detector on whole sentences"
    shell:
        job(
            "evaluate_grounded",
            "--refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}",
            "--grounded {input.grounded:q} --split {wildcards.split:q} --settings {params.settings:q} --code {params.code:q}",
            "--report {output.report:q}",
        )
