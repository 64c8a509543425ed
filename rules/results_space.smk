# Which files a page of results is made from. (Rules and functions lie apart: snakemake --lint.)
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
        return f"{RESULTS}/{name}/{path.format(split=split, run=run)}"

    return found


def told_beyond(wildcards):
    name, _ = told(wildcards)
    return beyond_evals(wildcards) if name == SETTINGS.ablations.dataset else []
