# Metrics: of a network's masks, of its choices among candidates, of the candidates and of Select.


rule evaluate:
    input:
        refs=found("refs"),
        truth=found("truth"),
        data=found("data"),
        checkpoint=network_of,
    output:
        report=home("eval_{method}{split}.json"),
        sentences=home("eval_{method}{split}.parquet"),
    log:
        logs("evaluate_{method}{split}"),
    benchmark:
        benchmarks("evaluate_{method}{split}")
    wildcard_constraints:
        method=EVALUATED_NETWORK,
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(minutes=240),
    params:
        **reads("evaluate_corrected"),
        images=images_folder,
        chain=chain_of("eval.{method}"),
        method=method_of,
        bert=bert_of,
        network=network_name,
        models=models_of_network,
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating the {params.method} network {wildcards.variant}"
    shell:
        calls(
            "evaluate_corrected",
            "input.refs input.truth input.data input.checkpoint params.images wildcards.split params.settings"
            " params.chain resources.device threads params.code params.method params.bert params.network output.report",
        )


rule evaluate_chosen:
    input:
        refs=found("refs"),
        truth=found("truth"),
        data=found("data"),
        chosen=found("chosen.{method}"),
    output:
        report=home("eval_{method}_choice_{split}.json"),
        sentences=home("eval_{method}_choice_{split}.parquet"),
    log:
        logs("evaluate_{method}_choice_{split}"),
    benchmark:
        benchmarks("evaluate_{method}_choice_{split}")
    wildcard_constraints:
        method="|".join(NETWORKS),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **reads("evaluate_corrected_choice"),
        chain=chain_of("eval.{method}_choice"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating what the {wildcards.method} network chose"
        " {wildcards.variant}"
    shell:
        calls(
            "evaluate_corrected_choice",
            "input.refs input.truth input.data input.chosen wildcards.split wildcards.method params.settings"
            " params.chain params.code output.report",
        )


rule evaluate_masks:
    # joint: the same scores, and different refs of a photo take different candidates: a row of the table, but not of
    # masks that were made elsewhere, which have no scores
    input:
        refs=found("refs"),
        truth=found("truth"),
        data=found("data"),
        masks=found("masks"),
        selections=lambda wildcards: list(selections_by_name(wildcards).values()),
    output:
        report=home("eval_masks_{split}.json"),
        candidates=home("eval_masks_{split}.parquet"),
    log:
        logs("evaluate_masks_{split}"),
    benchmark:
        benchmarks("evaluate_masks_{split}")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **reads("evaluate_masks"),
        names=lambda wildcards: list(selections_by_name(wildcards)),
        chain=chain_of("eval.masks"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating candidates and selected masks {wildcards.variant}"
    shell:
        calls(
            "evaluate_masks",
            "input.refs input.truth input.data input.masks *input.selections *params.names wildcards.split"
            " params.settings params.chain params.compat params.code output.report",
        )
