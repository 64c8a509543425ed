# Stage 1: nouns of the sentences -> boxes (GroundingDINO) -> masks (SAM) and the candidates of every ref.


rule extract_nouns:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        nouns=f"{RESULTS}/{{dataset}}/{{split}}/nouns.parquet",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/extract_nouns.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/extract_nouns.tsv"
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=4000,
        runtime=60,
        device=SETTINGS.compute.device,
    params:
        settings=section("nouns"),
        backend=backend_state(SETTINGS.nouns.encoder),
        weights=weights(SETTINGS.nouns.spacy_model, NLTK_TAGGER),
        code=code("extract_nouns"),
    message:
        "{wildcards.dataset} {wildcards.split}: extracting nouns"
    shell:
        job(
            "extract_nouns",
            "--refs {input.refs:q} --split {wildcards.split:q}",
            "--settings {params.settings:q} --device {resources.device:q} --threads {threads}",
            "--out {output.nouns:q}",
        )


rule detect_boxes:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=f"{RESULTS}/{{dataset}}/{{split}}/nouns.parquet",
    output:
        boxes=f"{RESULTS}/{{dataset}}/{{split}}/shards/boxes.{{shard}}-of-{{shards}}.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/detect_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/detect_boxes.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(),
        gres=gres(),
        mem_mb=16000,
        runtime=720,
        device=SETTINGS.compute.device,
        batch=SETTINGS.compute.batch.detect or 0,
    params:
        settings=section("detect"),
        compat=compat("detector_retry_plural", "query_order", "unclipped_boxes"),
        images=images_folder,
        backend=backend_state(SETTINGS.detect.backend),
        code=code("detect_boxes"),
    message:
        "{wildcards.dataset} {wildcards.split}: detecting boxes, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        job(
            "detect_boxes",
            "--refs {input.refs:q} --nouns {input.nouns:q} --images {params.images:q}",
            "--split {wildcards.split:q} --shard {wildcards.shard} --shards {wildcards.shards}",
            "--settings {params.settings:q} --compat {params.compat:q}",
            "--device {resources.device:q} --threads {threads} --batch {resources.batch} --out {output.boxes:q}",
        )


rule segment_boxes:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=f"{RESULTS}/{{dataset}}/{{split}}/nouns.parquet",
        boxes=f"{RESULTS}/{{dataset}}/{{split}}/shards/boxes.{{shard}}-of-{{shards}}.h5",
    output:
        masks=f"{RESULTS}/{{dataset}}/{{split}}/shards/masks.{{shard}}-of-{{shards}}.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/segment_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/segment_boxes.{{shard}}-of-{{shards}}.tsv"
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(),
        gres=gres(),
        mem_mb=16000,
        runtime=720,
        device=SETTINGS.compute.device,
        batch=SETTINGS.compute.batch.segment or 0,
    params:
        settings=section("segment"),
        compat=compat("candidates_any_noun"),
        images=images_folder,
        backend=backend_state(SETTINGS.segment.backend),
        code=code("segment_boxes"),
    message:
        "{wildcards.dataset} {wildcards.split}: segmenting boxes, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        job(
            "segment_boxes",
            "--refs {input.refs:q} --nouns {input.nouns:q} --boxes {input.boxes:q}",
            "--images {params.images:q} --settings {params.settings:q} --compat {params.compat:q}",
            "--device {resources.device:q} --threads {threads} --batch {resources.batch} --out {output.masks:q}",
        )


rule gather:
    # boxes.h5, masks.h5 and scores.h5 of a split from their shards, without decoding a mask
    input:
        shards=lambda wildcards: shard_files(wildcards.kind),
    output:
        whole=f"{RESULTS}/{{dataset}}/{{split}}/{{kind}}.h5",
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/gather_{{kind}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/gather_{{kind}}.tsv"
    wildcard_constraints:
        kind="boxes|masks|scores",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("gather"),
    message:
        "{wildcards.dataset} {wildcards.split}: gathering {wildcards.kind}"
    shell:
        job(
            "gather",
            "--kind {wildcards.kind} --out {output.whole:q} --shards {input.shards:q}",
        )
