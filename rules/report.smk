# What people look at: one HTML page of all evaluations, and docs/results*.md.


report: "../docs/captions/workflow.rst"


rule report:
    input:
        evals=lambda wildcards: evals_of("report"),
        logs=lambda wildcards: logs_of("report"),
    output:
        page=report(
            f"{RESULTS}/report/index.html",
            category="Report",
            caption="../docs/captions/report.rst",
        ),
    log:
        f"{RESULTS}/report/logs/report.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/report.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: str(Path(output.page).parents[1]),
        # functions: in a text, Snakemake takes the {sentence} of a question for a wildcard
        settings=lambda wildcards: SETTINGS.model_dump_json(
            exclude_unset=True, exclude={"studies", "compute", "sources"}
        ),
        images=as_json({name: images_of(name) for name in SETTINGS.datasets}),
        selections=lambda wildcards: as_json(SELECTIONS),
        others=shown_besides,
        look=page_look(),
        code=code("ssc_core.report.report_page:write_report"),
    message:
        "writing the report"
    shell:
        call(
            "ssc_core.report.report_page:write_report",
            "params.results params.settings params.images params.selections output.page",
        )


rule results_page:
    # a study `results_x` has the page docs/results_x.md: one can be made without the others
    input:
        [local(f"docs/{name}.md") for name in PAGES],
    message:
        "the pages of results are here"


rule write_results:
    input:
        evals=lambda wildcards: evals_of(f"results{wildcards.of}"),
        matching=page_training("matching"),
        curves=page_training("csv"),
        beyond=lambda wildcards: [one.path for one in page_beyond(wildcards)],
        refs=page_file("refs"),
        truth=page_file("truth"),
        masks=page_file("masks"),
        selected=page_file("selected"),
        network=page_file("eval.corrected"),
        candidates=page_file("eval.masks"),
        data=page_data,
    output:
        page=local("docs/results{of}.md"),
        repaired=local("docs/images/repaired{of}.png"),
        learning=local("docs/images/learning{of}.svg"),
    log:
        f"{RESULTS}/report/logs/results{{of}}.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/results{{of}}.tsv"
    wildcard_constraints:
        # a group, since an empty constraint would be none
        of=f"(?:{'|'.join(re.escape(name.removeprefix('results')) for name in PAGES)})",
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        # one option for all that it reads
        files=lambda wildcards, input: as_json(dict(input.items())),
        images=lambda wildcards: images_of(first_of(page_study(wildcards))["dataset"]),
        rows=lambda wildcards: as_json(
            [(one.row.variant, one.row.seed) for one in page_beyond(wildcards)]
        ),
        note=lambda wildcards: page_study(wildcards).note,
        look=page_look(),
        code=code("ssc_core.report.results_page:write_results_page"),
    message:
        "writing {output.page}"
    shell:
        call(
            "ssc_core.report.results_page:write_results_page",
            "params.files params.images params.rows params.note output.page output.repaired output.learning",
        )


rule write_clicks:
    # what reviews are worth: the studies `clicks` and `clicks_network`
    input:
        labels=f"{RESULTS}/clicks/table.csv",
        networks=f"{RESULTS}/clicks_network/table.csv",
        refs=of_clicks("refs"),
        data=of_clicks("data"),
    output:
        page=local("docs/clicks.md"),
        picture=local("docs/images/clicks.svg"),
    log:
        f"{RESULTS}/report/logs/clicks.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/clicks.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        variants=lambda wildcards: as_json(reviewed_variants()),
        note=lambda wildcards: study_of("clicks_network").note,
        look=page_look(),
        code=code("ssc_core.report.clicks:write_clicks_page"),
    message:
        "writing {output.page}"
    shell:
        call(
            "ssc_core.report.clicks:write_clicks_page",
            "input.labels input.networks input.refs input.data params.variants params.note output.page output.picture",
        )
