# Stage 2: score every candidate against every sentence of its ref (GPU), then choose one (cheap). Each scorer has a job
# and a file of its own.


rule score_candidates:
    input:
        refs=found("refs"),
        masks=found("masks_shard"),
    output:
        scores=made("scores_shard"),
    log:
        logs("{split}/score_candidates.{shard}-of-{shards}"),
    benchmark:
        benchmarks("{split}/score_candidates.{shard}-of-{shards}")
    conda:
        "../envs/select.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(batch=SETTINGS.compute.batch.score or 0),
    params:
        **reads("score_candidates"),
        images=images_folder,
        scorer="default",
    message:
        "{wildcards.dataset} {wildcards.split}: scoring candidates ({params.scorer}), shard {wildcards.shard} of {wildcards.shards}"
        " {wildcards.variant}"
    shell:
        calls(
            "score_candidates",
            "input.refs input.masks params.images wildcards.split params.scorer params.settings params.compat"
            " resources.device threads batch_size=resources.batch out=output.scores",
        )


use rule score_candidates as score_candidates_with with:
    output:
        scores=made("scores_shard@{scorer}"),
    log:
        logs("{split}/score_candidates.{scorer}.{shard}-of-{shards}"),
    benchmark:
        benchmarks("{split}/score_candidates.{scorer}.{shard}-of-{shards}")
    params:
        **reads("score_candidates@{scorer}"),
        images=images_folder,
        scorer="{scorer}",


use rule gather as gather_scores_of with:
    input:
        shards=shards_of("scores_shard@{scorer}"),
    output:
        whole=made("scores@{scorer}"),
    log:
        logs("{split}/gather_scores.{scorer}"),
    benchmark:
        benchmarks("{split}/gather_scores.{scorer}")
    params:
        **reads("gather_scores@{scorer}"),
        kind="scores",


rule select_masks:
    input:
        refs=found("refs"),
        masks=found("masks"),
        scores=scores_of_all,
        reviews=reviews_if_any,
    output:
        selected=made("selected"),
    log:
        logs("{split}/select_masks"),
    benchmark:
        benchmarks("{split}/select_masks")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **reads("select_masks"),
        images=images_folder,
        meanwhile=changed_meanwhile("select_masks", "selected", reviews_if_any),
    message:
        "{wildcards.dataset} {wildcards.split}: selecting one candidate per ref {wildcards.variant}"
    shell:
        calls(
            "select_masks",
            "input.refs input.masks *input.scores wildcards.split params.settings params.compat"
            " reviews=input.reviews params.images out=output.selected",
        )


rule label_pages:
    # what was found and chosen, and how sure that is: for data without truth
    input:
        refs=found("refs"),
        data=found("data"),
        nouns=found("nouns"),
        masks=found("masks"),
        scores=scores_of_all,
        selected=found("selected"),
    output:
        page=made("labels"),
        pages=directory(made("labels.pages")),
    log:
        logs("{split}/label_pages"),
    benchmark:
        benchmarks("{split}/label_pages")
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        **reads("label_pages"),
        images=images_folder,
        results=dataset_folder,
        look=page_look(),
    message:
        "{wildcards.dataset} {wildcards.split}: pages of what was found and chosen {wildcards.variant}"
    shell:
        calls(
            "label_pages",
            "input.refs input.data input.nouns input.masks *input.scores input.selected params.images wildcards.split"
            " params.results out=output.page output.pages",
        )
