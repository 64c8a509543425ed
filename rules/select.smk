# Stage 2: score every candidate against every sentence of its ref (GPU), then choose one (cheap).


rule score_candidates:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/shards/masks.{{shard}}-of-{{shards}}.h5",
    output:
        scores=f"{RESULTS}/{{dataset}}/{{split}}/shards/scores.{{shard}}-of-{{shards}}.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/score_candidates.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/score_candidates.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/select.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(),
        gres=gres(),
        mem_mb=16000,
        runtime=720,
        device=SETTINGS.compute.device,
        batch=SETTINGS.compute.batch.score or 0,
    params:
        settings=section("score"),
        compat=compat("clip_bgr", "merged_masks"),
        images=images_folder,
        backend=backend_state(SETTINGS.score.backend),
        code=code("score_candidates"),
    message:
        "{wildcards.dataset} {wildcards.split}: scoring candidates, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        job(
            "score_candidates",
            "--refs {input.refs:q} --masks {input.masks:q} --images {params.images:q}",
            "--split {wildcards.split:q} --settings {params.settings:q} --compat {params.compat:q}",
            "--device {resources.device:q} --threads {threads} --batch {resources.batch} --out {output.scores:q}",
        )


rule select_masks:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
        scores=f"{RESULTS}/{{dataset}}/{{split}}/scores.h5",
    output:
        selected=f"{RESULTS}/{{dataset}}/{{split}}/selected.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/select_masks.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/select_masks.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=section("select"),
        compat=compat("merged_masks", "blind_to_size"),
        code=code("select_masks"),
    message:
        "{wildcards.dataset} {wildcards.split}: selecting one candidate a ref"
    shell:
        job(
            "select_masks",
            "--refs {input.refs:q} --masks {input.masks:q} --scores {input.scores:q}",
            "--split {wildcards.split:q} --settings {params.settings:q} --compat {params.compat:q}",
            "--out {output.selected:q}",
        )
