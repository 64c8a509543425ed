# Pictures: what Segment found, examples of a network, and what Correct repaired.


rule picture_of_evaluation:
    input:
        refs=found("refs"),
        truth=found("truth"),
        evaluation=evaluation_of("eval.{method}"),
        rows=evaluation_of("eval.{method}.rows"),
    output:
        picture=report(
            home("eval_{method}{split}.png"),
            category="Examples",
            labels={
                "dataset": "{dataset}",
                "split": "{split}",
                "method": "{method}",
                "variant": "{variant}",
            },
            caption="../docs/captions/examples.rst",
        ),
    log:
        logs("picture_{method}{split}"),
    benchmark:
        benchmarks("picture_{method}{split}")
    wildcard_constraints:
        method=EVALUATED_NETWORK,
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **reads("picture_corrected"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: drawing examples of {input.evaluation}"
    shell:
        calls(
            "picture_corrected",
            "input.refs input.truth input.evaluation params.images output.picture",
        )


rule picture_repaired:
    input:
        refs=found("refs"),
        truth=found("truth"),
        masks=found("masks"),
        selected=found("selected"),
        network=found("eval.corrected"),
        rows=found("eval.corrected.rows"),
        candidates=found("eval.masks"),
        picks=found("eval.masks.rows"),
    output:
        picture=report(
            made("repaired"),
            category="Examples",
            labels={
                "dataset": "{dataset}",
                "split": "{split}",
                "variant": "{variant}",
            },
            caption="../docs/captions/repaired.rst",
        ),
    log:
        logs("{split}/picture_repaired"),
    benchmark:
        benchmarks("{split}/picture_repaired")
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **reads("picture_repaired"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: drawing what Correct repaired {wildcards.variant}"
    shell:
        calls(
            "picture_repaired",
            "input.refs input.truth input.masks input.selected input.network input.candidates params.images"
            " out=output.picture",
        )


rule contact_sheet:
    # boxes, masks and candidates of some photos of a split, to look at
    input:
        refs=found("refs"),
        nouns=found("nouns"),
        masks=found("masks"),
    output:
        sheet=report(
            made("contact_sheet"),
            category="Segment",
            labels={
                "dataset": "{dataset}",
                "split": "{split}",
                "variant": "{variant}",
            },
            caption="../docs/captions/contact_sheet.rst",
        ),
    log:
        logs("{split}/contact_sheet"),
    benchmark:
        benchmarks("{split}/contact_sheet")
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        **reads("contact_sheet"),
        images=images_folder,
    message:
        "{wildcards.dataset} {wildcards.split}: drawing the contact sheet of Segment {wildcards.variant}"
    shell:
        calls(
            "contact_sheet",
            "input.refs input.nouns input.masks params.images wildcards.split out=output.sheet",
        )
