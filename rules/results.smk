# docs/results.md and, of every other dataset of `finding`, docs/results_{dataset}.md: one can be made without the others.
# With `finding.name` (of a preset) docs/results_{name}.md and docs/results_{name}_{dataset}.md.
from ssc_core.evaluate.ablations import run_folder

FINDING = SETTINGS.finding.datasets
FIRST_TOLD = next(iter(FINDING))


def page_of(name):
    """`{of}` of a dataset's page and pictures."""
    parts = [SETTINGS.finding.name, "" if name == FIRST_TOLD else name]
    return "".join(f"_{part}" for part in parts if part)


TOLD_BY_PAGE = {page_of(name): name for name in FINDING}


def told(wildcards):
    """The dataset of a page, and what `finding` says of it."""
    name = TOLD_BY_PAGE[wildcards.of]
    return name, FINDING[name]


def told_runs(wildcards):
    name, finding = told(wildcards)
    return [run_folder(SETTINGS, seed) for seed in finding.seeds]


def told_evals(wildcards):
    name, finding = told(wildcards)
    found = [
        eval_file(name, split, method, run)
        for split in finding.splits
        for method in ("masks", *finding.methods)
        for run in told_runs(wildcards)
    ]
    return list(dict.fromkeys(found))  # what is not trained has no seed


def told_training(kind):
    """Input function: logs (csv) or matching accuracy (matching.csv) of the trainings that a page shows."""

    def found(wildcards):
        name, finding = told(wildcards)
        phases = ["pretrain", "correct"] if kind == "csv" else ["correct"]
        if kind == "matching.csv" and "without_constraints" in finding.methods:
            phases.append("correct_without_constraints")
        return [
            f"{RESULTS}/{name}/{run}checkpoints/{phase}.{kind}"
            for phase in phases
            for run in told_runs(wildcards)
        ]

    return found


def told_file(path):
    """Input function: a file of the split and seed that pictures are taken from, the first of each."""

    def found(wildcards):
        name, finding = told(wildcards)
        split, run = finding.splits[0], told_runs(wildcards)[0]
        return f"{RESULTS}/{name}/{path}".format(split=split, run=run)

    return found


def told_beyond(wildcards):
    name, _ = told(wildcards)
    return beyond_evals(wildcards) if name == SETTINGS.ablations.dataset else []


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
        "python -m workflow_scripts.results_page --evals {input.evals:q} --matching {input.matching:q}"
        " --curves {input.curves:q} --beyond {input.beyond:q} --refs {input.refs:q} --truth {input.truth:q} --masks {input.masks:q}"
        " --selected {input.selected:q} --network {input.network:q} --candidates {input.candidates:q}"
        " --images {params.images:q} --page {output.page:q} --repaired {output.repaired:q}"
        " --learning {output.learning:q} --name={params.name:q} 2>&1 | tee {log:q}"
