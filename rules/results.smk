# docs/results.md and, of every other dataset of `finding`, docs/results_{dataset}.md: one can be made without the others.
# With `finding.name` (of a preset) docs/results_{name}.md and docs/results_{name}_{dataset}.md.


rule results_page:
    input:
        [f"docs/results{page_of(name)}.md" for name in FINDING],
    message:
        "the pages of results are here"


rule write_results:
    input:
        evals=told_evals,
        matching=told_training("matching.csv"),
        curves=told_training("csv"),
        beyond=told_beyond,
        refs=told_file("refs.parquet"),
        truth=told_file("truth.h5"),
        masks=told_file("{split}/masks.h5"),
        selected=told_file("{split}/selected.h5"),
        network=told_file("{run}eval_{split}.json"),
        candidates=told_file("eval_masks_{split}.json"),
    output:
        page="docs/results{of}.md",
        repaired="docs/images/repaired{of}.png",
        learning="docs/images/learning{of}.svg",
    log:
        f"{RESULTS}/report/logs/results{{of}}.log",
    benchmark:
        f"{RESULTS}/report/benchmarks/results{{of}}.tsv"
    wildcard_constraints:
        # a group, since an empty constraint would be none
        of="(?:" + "|".join(re.escape(page) for page in TOLD_BY_PAGE) + ")",
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        images=lambda wildcards: images_of(told(wildcards)[0]),
        name=SETTINGS.finding.name,
        code=code("results_page"),
    message:
        "writing {output.page}"
    shell:
        job(
            "results_page",
            "--evals {input.evals:q} --matching {input.matching:q}",
            "--curves {input.curves:q} --beyond {input.beyond:q} --refs {input.refs:q} --truth {input.truth:q} --masks {input.masks:q}",
            "--selected {input.selected:q} --network {input.network:q} --candidates {input.candidates:q}",
            "--images {params.images:q} --page {output.page:q} --repaired {output.repaired:q}",
            "--learning {output.learning:q} --name={params.name:q}",
        )
