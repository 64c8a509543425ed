# Metrics of the trained networks.

METHOD_PHASES = {
    "pretrained": "pretrain",
    "continued": "continue_pretrain",
    "without_constraints": "correct_without_constraints",
    "supervised": "supervised",
}
SPLIT = f"{RESULTS}/{{dataset}}/{{split}}"


rule evaluate:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=f"{RUN}checkpoints/correct.pt",
    output:
        report=f"{RUN}eval_{{split}}.json",
        sentences=f"{RUN}eval_{{split}}.parquet",
        picture=report(
            f"{RUN}eval_{{split}}.png",
            category="Examples",
            labels={
                "dataset": "{dataset}",
                "seed": "{run}",
                "split": "{split}",
                "method": "corrected",
            },
            caption="../docs/captions/examples.rst",
        ),
    log:
        f"{RUN}logs/evaluate_{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluate_{{split}}.tsv"
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
        settings=section("evaluate"),
        images=images_folder,
        method="corrected",
        bert="",
        code=code("evaluate"),
    message:
        "{wildcards.dataset} {wildcards.run} {wildcards.split}: evaluating the {params.method} network"
    shell:
        job(
            "evaluate",
            "--refs {input.refs:q} --truth {input.truth:q} --data {input.data:q}",
            "--checkpoint {input.checkpoint:q} --images {params.images:q} --split {wildcards.split:q}",
            "--settings {params.settings:q} --device {resources.device:q} --threads {threads} --code {params.code:q}",
            "--method {params.method} --bert {params.bert:q} --report {output.report:q} --picture {output.picture:q}",
        )


use rule evaluate as evaluate_method with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=lambda wildcards: (
            f"{RUN}checkpoints/{METHOD_PHASES[wildcards.method]}.pt"
        ),
    output:
        report=f"{RUN}eval_{{method}}_{{split}}.json",
        sentences=f"{RUN}eval_{{method}}_{{split}}.parquet",
        picture=report(
            f"{RUN}eval_{{method}}_{{split}}.png",
            category="Examples",
            labels={
                "dataset": "{dataset}",
                "seed": "{run}",
                "split": "{split}",
                "method": "{method}",
            },
            caption="../docs/captions/examples.rst",
        ),
    log:
        f"{RUN}logs/evaluate_{{method}}_{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluate_{{method}}_{{split}}.tsv"
    wildcard_constraints:
        method="|".join(METHOD_PHASES),
    params:
        method=lambda wildcards: wildcards.method,


use rule evaluate as evaluate_published with:
    # a network that was trained elsewhere: no training, and no masks of Segment
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=given_checkpoint,
    output:
        report=f"{RESULTS}/{{dataset}}/eval_published_{{split}}.json",
        sentences=f"{RESULTS}/{{dataset}}/eval_published_{{split}}.parquet",
        picture=report(
            f"{RESULTS}/{{dataset}}/eval_published_{{split}}.png",
            category="Examples",
            labels={
                "dataset": "{dataset}",
                "split": "{split}",
                "method": "published",
            },
            caption="../docs/captions/examples.rst",
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluate_published_{{split}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluate_published_{{split}}.tsv"
    params:
        method="published",
        bert=SETTINGS.network.bert,
        weights=weights(SETTINGS.network.bert),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating {input.checkpoint}"
