# What studies and their pages are made from. (Rules and functions lie apart: snakemake --lint.)


def study_of(name):
    try:
        return find_study(SETTINGS, name)
    except SscError as error:
        raise WorkflowError(str(error))


def study_evaluations(name):
    """All eval files of a study."""
    try:
        return evaluations(SETTINGS, study_of(name), VARIANTS)
    except SscError as error:
        raise WorkflowError(str(error))


def evals_of(name):
    return [one.path for one in study_evaluations(name)]


def study_evals(wildcards):
    return evals_of(wildcards.study)


def rows_of(name):
    """Param: the variant and seed of each eval file of a study, in their order."""
    return as_json([(one.row.variant, one.row.seed) for one in study_evaluations(name)])


def logs_of(name):
    return training_logs(SETTINGS, study_of(name), VARIANTS)


def shown_besides(wildcards):
    """What the report shows besides its study, by content: what is new writes it anew, but nothing is asked for."""
    folders = [one for one in dataset_folders(RESULTS) if one.name in SETTINGS.datasets]
    found = {str(path) for folder in folders for path in folder.shown().files}
    asked = {*evals_of("report"), *logs_of("report")}
    return [f"{path} {file_sha256(Path(path))[:8]}" for path in sorted(found - asked)]


def page_look():
    """Param: what pages are made of besides code: templates, style, script."""
    parts = Path(CODE, "report/templates").iterdir()
    return [f"{part.name} {file_sha256(part)[:8]}" for part in sorted(parts)]


def page_study(wildcards):
    """The study of a page of results, docs/{study}.md."""
    return study_of(f"results{wildcards.of}")


def first_of(study):
    """Wildcards of what a study's pictures are taken from: its first dataset, split and seed."""
    dataset, splits = next(iter(study.datasets.items()))
    variant = "".join(f"seed{seed}/" for seed in study.seeds[:1])
    return {"dataset": dataset, "split": splits[0], "variant": variant}


def page_file(result):
    """Input: a result of what a page's pictures are taken from."""
    return lambda wildcards: path_of(result, first_of(page_study(wildcards)))


def page_data(wildcards):
    """Input: what each dataset of a page is."""
    return [
        path_of("data", {"dataset": dataset})
        for dataset in page_study(wildcards).datasets
    ]


def page_training(kind):
    """Input: logs (csv) or matching accuracy (matching) of the trainings that a page shows."""

    def files(wildcards):
        study = page_study(wildcards)
        phases = ["pretrain", "correct"] if kind == "csv" else ["correct"]
        if kind == "matching" and "without_constraints" in study.methods:
            phases.append("correct_without_constraints")
        return [
            path_of(f"{phase}.{kind}", {**first_of(study), "variant": variant})
            for phase in phases
            for variant in [f"seed{seed}/" for seed in study.seeds] or [""]
        ]

    return files


def page_beyond(wildcards):
    """Rows of the study `ablations` that a page tells of, with the row that they are compared with."""
    told = set(page_study(wildcards).beyond)
    if not told:
        return []
    study = study_of("ablations")
    kept = {BASE} | {
        row.variant for row in rows(SETTINGS, study) if told & set(row.changes)
    }
    return [one for one in study_evaluations("ablations") if one.row.variant in kept]


def of_clicks(result):
    """Input: a result of what the study `clicks` is about, the first of its datasets."""
    return lambda wildcards: path_of(
        result, {"dataset": next(iter(study_of("clicks").datasets))}
    )


def reviewed_variants():
    """Param: of each variant of the studies of reviews, the share of refs and the order."""
    reviewed = {}
    for study in ("clicks", "clicks_network"):
        for row in rows(SETTINGS, study_of(study)):
            if "reviewer.share" in row.changes:
                reviewer = change(SETTINGS, row.changes).reviewer
                reviewed[row.variant] = (reviewer.share, reviewer.order)
    return reviewed


def select_file(result):
    """Input: a result of the first dataset and split of the study `select`."""
    return lambda wildcards: path_of(
        result, {**first_of(study_of("select")), "variant": ""}
    )


PAGES = [
    name
    for name in SETTINGS.studies
    if name == "results" or name.startswith("results_")
]
SELECTIONS = {
    "selected": {},
    **(
        named_changes(SETTINGS.studies["select"])
        if "select" in SETTINGS.studies
        else {}
    ),
}
