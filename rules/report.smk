# One HTML page of whatever evaluations there are. It asks for the default dataset's; others that exist are shown too.


rule report:
    input:
        evaluation=f"{RESULTS}/refcoco/eval_val.json",
        masks=f"{RESULTS}/refcoco/eval_masks_val.json",
    output:
        page=f"{RESULTS}/report/index.html",
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
        code=code_version("ssc_core.report.html"),
    message:
        "writing the report"
    shell:
        "python -m workflow_scripts.report --results {params.results:q} --images {params.images:q}"
        " --page {output.page:q} 2>&1 | tee {log:q}"
