# What people look at: one HTML page of all evaluations, and docs/results.md.
from ssc_core.evaluate.ablations import run_folder


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
        "python -m workflow_scripts.report --results {params.results:q} --images {params.images:q}"
        " --page {output.page:q} 2>&1 | tee {log:q}"


FINDING = SETTINGS.finding.datasets
SHOWN = next(iter(FINDING))
SHOWN_SPLIT = FINDING[SHOWN].splits[0]
SHOWN_RUNS = [run_folder(SETTINGS, seed) for seed in FINDING[SHOWN].seeds]


rule results_page:
    input:
        evals=list(
            dict.fromkeys(
                eval_file(name, split, method, run_folder(SETTINGS, seed))
                for name, told in FINDING.items()
                for split in told.splits
                for method in ("masks", *told.methods)
                for seed in told.seeds
            )
        ),
        matching=expand(
            "{folder}/{run}checkpoints/{phase}.matching.csv",
            folder=f"{RESULTS}/{SHOWN}",
            run=SHOWN_RUNS,
            phase=MATCHED_PHASES,
        ),
        curves=expand(
            "{folder}/{run}checkpoints/{phase}.csv",
            folder=f"{RESULTS}/{SHOWN}",
            run=SHOWN_RUNS,
            phase=["pretrain", "correct"],
        ),
        beyond=beyond_evals,
        refs=f"{RESULTS}/{SHOWN}/refs.parquet",
        truth=f"{RESULTS}/{SHOWN}/truth.h5",
        masks=f"{RESULTS}/{SHOWN}/{SHOWN_SPLIT}/masks.h5",
        selected=f"{RESULTS}/{SHOWN}/{SHOWN_SPLIT}/selected.h5",
        network=eval_file(SHOWN, SHOWN_SPLIT, "corrected", SHOWN_RUNS[0]),
        candidates=eval_file(SHOWN, SHOWN_SPLIT, "masks"),
    output:
        page="docs/results.md",
        repaired="docs/images/repaired.png",
        learning="docs/images/learning.svg",
    log:
        f"{RESULTS}/report/logs/results_page.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/results_page.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        images=images_of(SHOWN),
        code=code("results_page"),
    message:
        "writing docs/results.md"
    shell:
        "python -m workflow_scripts.results_page --evals {input.evals:q} --matching {input.matching:q}"
        " --curves {input.curves:q} --beyond {input.beyond:q} --refs {input.refs:q} --truth {input.truth:q} --masks {input.masks:q}"
        " --selected {input.selected:q} --network {input.network:q} --candidates {input.candidates:q}"
        " --images {params.images:q} --page {output.page:q} --repaired {output.repaired:q}"
        " --learning {output.learning:q} 2>&1 | tee {log:q}"
