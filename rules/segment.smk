# Stage 1: nouns of the sentences -> boxes (GroundingDINO) -> masks (SAM) and the candidates of every ref. A concept
# segmenter (detect.backend: null) finds masks at once.


rule extract_nouns:
    input:
        refs=found("refs"),
    output:
        nouns=made("nouns"),
    log:
        logs("{split}/extract_nouns"),
    benchmark:
        benchmarks("{split}/extract_nouns")
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=4000,
        runtime=60,
        device="cpu",  # some thousand different nouns, minutes at most: no reason to wait for a GPU
    params:
        **reads("extract_nouns"),
    message:
        "{wildcards.dataset} {wildcards.split}: extracting nouns {wildcards.variant}"
    shell:
        calls(
            "extract_nouns",
            "input.refs wildcards.split params.settings resources.device threads out=output.nouns",
        )


rule detect_boxes:
    input:
        refs=found("refs"),
        nouns=nouns_for_boxes,
    output:
        boxes=made("boxes_shard"),
    log:
        logs("{split}/detect_boxes.{shard}-of-{shards}"),
    benchmark:
        benchmarks("{split}/detect_boxes.{shard}-of-{shards}")
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(batch=SETTINGS.compute.batch.detect or 0),
    params:
        **reads("detect_boxes"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: detecting boxes, shard {wildcards.shard} of {wildcards.shards}"
        " {wildcards.variant}"
    shell:
        calls(
            "detect_boxes",
            "input.refs input.nouns params.images wildcards.split wildcards.shard wildcards.shards"
            " params.settings params.compat resources.device threads batch_size=resources.batch out=output.boxes",
        )


rule segment_boxes:
    input:
        refs=found("refs"),
        nouns=found("nouns"),
        boxes=boxes_if_any,
    output:
        masks=made("masks_shard"),
    log:
        logs("{split}/segment_boxes.{shard}-of-{shards}"),
    benchmark:
        benchmarks("{split}/segment_boxes.{shard}-of-{shards}")
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(batch=SETTINGS.compute.batch.segment or 0),
    params:
        **reads("segment_boxes"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: segmenting, shard {wildcards.shard} of {wildcards.shards}"
        " {wildcards.variant}"
    shell:
        calls(
            "segment_boxes",
            "input.refs input.nouns boxes=input.boxes params.images wildcards.split wildcards.shard wildcards.shards"
            " params.settings params.compat resources.device threads batch_size=resources.batch out=output.masks",
        )


rule gather:
    # boxes.h5, masks.h5 and scores.h5 of a split from their shards, without decoding a mask
    input:
        shards=shards_of("{kind}_shard"),
    output:
        whole=home("{split}/{kind}.h5"),
    log:
        logs("{split}/gather_{kind}"),
    benchmark:
        benchmarks("{split}/gather_{kind}")
    wildcard_constraints:
        kind="boxes|masks|scores",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **reads("gather_{kind}"),
        kind="{kind}",
    message:
        "{wildcards.dataset} {wildcards.split}: gathering {params.kind} {wildcards.variant}"
    shell:
        calls("gather_masks", "params.kind *input.shards out=output.whole")
