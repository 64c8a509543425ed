# Studies of the config: variants x seeds x datasets x splits x methods as one table. `snakemake ablations` is one of them.


rule ablations:
    input:
        f"{RESULTS}/ablations/table.csv",


rule study_table:
    input:
        evals=study_evals,
    output:
        table=report(
            f"{RESULTS}/{{study}}/table.csv",
            category="Studies",
            labels={"study": "{study}", "what": "table"},
            caption="../docs/captions/studies.rst",
        ),
        summary=f"{RESULTS}/{{study}}/summary.csv",
        plot=report(
            f"{RESULTS}/{{study}}/plot.svg",
            category="Studies",
            labels={"study": "{study}", "what": "plot"},
            caption="../docs/captions/studies.rst",
        ),
    log:
        f"{RESULTS}/{{study}}/logs/study_table.log",
    benchmark:
        f"{RESULTS}/{{study}}/benchmarks/study_table.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        rows=lambda wildcards: rows_of(wildcards.study),
        code=code("ssc_core.report.study:write_study"),
    message:
        "writing the table of the study {wildcards.study}"
    shell:
        call(
            "ssc_core.report.study:write_study",
            "*input.evals params.rows output.table output.summary output.plot",
        )


rule simulate_reviews:
    # for studies of what a review is worth: it answers by the truth, and stands for people in select_masks
    input:
        refs=found("refs"),
        nouns=found("nouns"),
        masks=found("masks"),
        scores=scores_of_all,
        truth=found("truth"),
    output:
        reviews=made("simulated_reviews"),
    log:
        logs("{split}/simulate_reviews"),
    benchmark:
        benchmarks("{split}/simulate_reviews")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **reads("simulate_reviews"),
    message:
        "{wildcards.dataset} {wildcards.split}: a simulated reviewer answers {wildcards.variant}"
    shell:
        calls(
            "simulate_reviews",
            "input.refs input.nouns input.masks *input.scores input.truth wildcards.split params.settings"
            " params.compat out=output.reviews",
        )


rule evaluate_selections:
    # all ways to select of the study `select` on the same pairs
    input:
        refs=found("refs"),
        truth=found("truth"),
        data=found("data"),
        masks=found("masks"),
        selections=each(
            *(found("selected", changes) for changes in SELECTIONS.values())
        ),
    output:
        report=made("selections"),
        rows=made("selections.rows"),
    log:
        logs("{split}/select/evaluate_selections"),
    benchmark:
        benchmarks("{split}/select/evaluate_selections")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **reads("evaluate_selections"),
        names=lambda wildcards: list(SELECTIONS),
        chain=chain_of("selections"),
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating {params.names}"
    shell:
        calls(
            "evaluate_selections",
            "input.refs input.truth input.data input.masks *input.selections *params.names wildcards.split"
            " params.settings params.chain params.compat params.code output.report",
        )


rule select_table:
    # the report shows it, with the choices that are worth a look
    input:
        evaluation=select_file("selections"),
    output:
        figures=f"{RESULTS}/report/select.json",
        table=f"{RESULTS}/report/select.csv",
    log:
        f"{RESULTS}/report/logs/select_table.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/select_table.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        ways=lambda wildcards: as_json(SELECTIONS),
        code=code("ssc_core.report.select_table:write_select_table"),
    message:
        "writing the table of ways to select"
    shell:
        call(
            "ssc_core.report.select_table:write_select_table",
            "input.evaluation params.ways output.figures output.table",
        )
