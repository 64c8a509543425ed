# Variants of the config, and where the files of their stages lie. Files of a stage are shared by all rows that a change
# does not reach, with the main results too: stages/{key} exists only for what differs.
from functools import cache

from ssc_core.evaluate.ablations import BASE, STAGES, Ablations

ABLATIONS = f"{RESULTS}/ablations"
ABLATED = f"{ABLATIONS}/stages/{{key}}/{{dataset}}"
ABLATED_SPLIT = f"{ABLATED}/{{split}}"
ABLATED_RUN = f"{ABLATED}/{{run}}"
ROW = f"{ABLATIONS}/{{dataset}}/{{split}}/{{row}}"


@cache
def ablated():
    """The variants, when they are first asked for: other targets do not wait for them."""
    try:
        found = Ablations(SETTINGS)
        found.variants
        return found
    except SscError as error:
        raise WorkflowError(str(error))


@cache
def ablation_space():
    """Paths of rows and back: setting~select.choice/value~random/seed~0."""
    import pandas
    from snakemake.utils import Paramspace

    rows = [(v.setting, v.value, v.seed) for v in ablated().variants]
    frame = pandas.DataFrame(rows, columns=["setting", "value", "seed"])
    return Paramspace(frame, single_wildcard="row")


def row_variant(wildcards):
    row = ablation_space().instance(wildcards)
    return ablated().variant(row["setting"], row["value"], int(row["seed"]))


def from_stage(stage, path):
    """Input function: a file of a stage, as the variant of the wildcard `key` or `row` has it."""

    def found(wildcards):
        named = "key" in wildcards.keys()
        variant = ablated().by_key[wildcards.key] if named else row_variant(wildcards)
        values = {"run": variant.run, **dict(wildcards.items())}
        return f"{ablated().folder(variant, stage)}/{path}".format(**values)

    return found


def ablated_settings(wildcards):
    return ablated().by_key[wildcards.key].settings


def ablated_section(name):
    return lambda wildcards: section(name, ablated_settings(wildcards))


def ablated_compat(*names):
    return lambda wildcards: compat(*names, settings=ablated_settings(wildcards))


def ablated_backend(backend_of):
    return lambda wildcards: backend_state(backend_of(ablated_settings(wildcards)))


def ablated_training(phase):
    return lambda wildcards: training(phase, wildcards.run, ablated_settings(wildcards))


def ablated_files(phase, **files):
    """Input files of a phase: `init_from` in place of init, and validation truth where the best checkpoint is kept."""

    def found(wildcards):
        settings = getattr(ablated().by_key[wildcards.key].settings, phase)
        inputs = {
            name: from_stage(stage, path)(wildcards)
            for name, (stage, path) in files.items()
        }
        if settings.init_from:
            inputs["init"] = settings.init_from
        if settings.keep == "best":
            inputs["val_truth"] = from_stage("truth", "{dataset}/truth.h5")(wildcards)
        return inputs

    return found


def stage_keys(stage):
    return rf"{stage}-[0-9a-f]{{8}}"


wildcard_constraints:
    row=r"setting~[^/]+/value~[^/]+/seed~\d+",


def ablation_evals(wildcards):
    return evals_of({variant.setting for variant in ablated().variants})


def beyond_evals(wildcards):
    """Rows of the settings that docs/results.md tells of, with the row that they are compared with."""
    told = SETTINGS.finding.beyond
    return evals_of({BASE, *told}) if told else []


def evals_of(settings):
    try:
        check_split(SETTINGS, SETTINGS.ablations.dataset, SETTINGS.ablations.split)
    except SscError as error:
        raise WorkflowError(str(error))
    folder = f"{ABLATIONS}/{SETTINGS.ablations.dataset}/{SETTINGS.ablations.split}"
    rows = zip(ablated().variants, ablation_space().instance_patterns)
    return [
        f"{folder}/{row}/{name}.json"
        for variant, row in rows
        if variant.setting in settings
        for name in (["eval_masks", "eval"] if variant.trained else ["eval_masks"])
    ]
