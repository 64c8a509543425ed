# The baseline that needs neither nouns nor Select: the detector's best box for the whole sentence, and its mask.


rule ground_sentences:
    input:
        refs=found("refs"),
    output:
        out=made("grounded"),
    log:
        logs("{split}/ground_sentences"),
    benchmark:
        benchmarks("{split}/ground_sentences")
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(),
    params:
        **reads("ground_sentences"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: asking the detector for whole sentences {wildcards.variant}"
    shell:
        calls(
            "ground_sentences",
            "input.refs params.images wildcards.split params.settings params.code resources.device threads output.out",
        )


rule evaluate_grounded:
    input:
        refs=found("refs"),
        truth=found("truth"),
        data=found("data"),
        grounded=found("grounded"),
    output:
        report=home("eval_grounded_sentence_{split}.json"),
        sentences=home("eval_grounded_sentence_{split}.parquet"),
    log:
        logs("evaluate_grounded_{split}"),
    benchmark:
        benchmarks("evaluate_grounded_{split}")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **reads("evaluate_grounded_sentence"),
        chain=chain_of("eval.grounded_sentence"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating the detector on whole sentences {wildcards.variant}"
    shell:
        calls(
            "evaluate_grounded_sentence",
            "input.refs input.truth input.data input.grounded wildcards.split params.settings params.chain"
            " params.code output.report",
        )
