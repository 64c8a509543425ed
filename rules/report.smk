# What people look at: one HTML page of all evaluations.


report: "../docs/captions/workflow.rst"


REPORT_EVALS = [
    eval_file(name, split, method)
    for name in SETTINGS.report.datasets
    for split in SETTINGS.report.splits
    for method in ("masks", *SETTINGS.report.methods)
]


rule report:
    input:
        evals=REPORT_EVALS,
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
        images=json.dumps(
            {name: images_of(name) for name in SETTINGS.datasets}, sort_keys=True
        ),
        others=other_evals,
        code=code("report"),
    message:
        "writing the report"
    shell:
        job(
            "report",
            "--results {params.results:q} --images {params.images:q}",
            "--page {output.page:q}",
        )
