# Studies of the config: variants x seeds x datasets x splits x methods as one table. `snakemake ablations` is one of them.


wildcard_constraints:
    study="|".join(re.escape(name) for name in SETTINGS.studies) or "none",


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
        code=code("workflow_scripts.study_table:main"),
    message:
        "writing the table of the study {wildcards.study}"
    shell:
        call(
            "workflow_scripts.study_table:main",
            "*input.evals params.rows output.table output.summary output.plot",
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
        names=list(SELECTIONS),
        chain=chain_of,
    message:
        "{wildcards.dataset} {wildcards.split}: evaluating {params.names}"
    shell:
        calls(
            "evaluate_selections",
            "input.refs input.truth input.data input.masks *input.selections *params.names wildcards.split"
            " params.settings params.chain params.compat params.code output.report",
        )


rule select_report:
    input:
        refs=select_file("refs"),
        truth=select_file("truth"),
        masks=select_file("masks"),
        scores=select_file("scores"),
        selected=select_file("selected"),
        evaluation=select_file("selections"),
    output:
        page=f"{RESULTS}/report/select.html",
        figures=f"{RESULTS}/report/select.json",
        table=f"{RESULTS}/report/select.csv",
    log:
        f"{RESULTS}/report/logs/select_report.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/select_report.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        variants=as_json(SELECTIONS),
        select=section("select"),
        images=lambda wildcards: images_of(select_at()["dataset"]),
        look=page_look(),
        code=code("ssc_core.report.select_page:write_select_page"),
    message:
        "writing the comparison of ways to select"
    shell:
        call(
            "ssc_core.report.select_page:write_select_page",
            "input.refs input.truth input.masks input.scores input.selected input.evaluation params.images"
            " params.variants params.select output.page output.figures output.table",
        )
