# Functions of the rules: what training, comparisons and reports read. (Rules and functions lie apart: snakemake --lint.)
import os
from glob import glob

from ssc_core.datasets import check_annotations, source_files
from ssc_core.targets import check_split, refusal


def refuse(wildcards):
    raise WorkflowError(str(refusal(SETTINGS, wildcards.refused)))


def annotations(wildcards):
    """Files that a dataset is read from."""
    fetch = [
        "ssc fetch",
        *(f"--config {os.path.relpath(f)}" for f in CONFIGS.configfiles),
    ]
    try:
        check_annotations(SETTINGS, wildcards.dataset, " ".join(fetch))
    except SscError as error:
        raise WorkflowError(str(error))
    return source_files(SETTINGS, wildcards.dataset)


def training(phase, run, settings=SETTINGS):
    """Network and phase as one param: both decide the weights. ``run`` (seed7/) may name another seed."""
    train = getattr(settings, phase).model_dump(mode="json")
    if run:
        train["seed"] = int(run.removeprefix("seed").removesuffix("/"))
    network = settings.network.model_dump(mode="json")
    return json.dumps({"network": network, "train": train}, sort_keys=True)


def train_settings(phase):
    return lambda wildcards: training(phase, wildcards.run)


def train_start(phase, before=None):
    """What training starts from: `init_from`, else the checkpoint of the phase before, else Swin and BERT weights."""
    start = getattr(SETTINGS, phase).init_from or before
    return {"init": start} if start else {}


def start_version(phase):
    """Digest of `init_from`. What this workflow makes itself, Snakemake follows."""
    path = getattr(SETTINGS, phase).init_from
    made_here = path is not None and Path(path).is_relative_to(RESULTS)
    return "" if made_here else weights_version(path)


def given_checkpoint(wildcards):
    """`datasets.<name>.checkpoint`. A published one that is not here yet is fetched."""
    path = dataset(wildcards).checkpoint
    if path is None:
        raise WorkflowError(
            f"datasets.{wildcards.dataset}.checkpoint is not set: name the file that is to be evaluated"
        )
    return path


def validation_truth(phase):
    """Validation masks, and only where the best checkpoint is kept by them: nothing else of training sees the truth."""
    if getattr(SETTINGS, phase).keep == "best":
        return {"val_truth": f"{RESULTS}/{{dataset}}/truth.h5"}
    return {}


def eval_file(dataset, split, method="corrected", run=""):
    """The eval file of a method; `masks` for the choices among candidates. What has no training has no run either."""
    if method in ("masks", "grounded_sentence"):
        run = ""
    name = "" if method == "corrected" else f"{method}_"
    return f"{RESULTS}/{dataset}/{run}eval_{name}{split}.json"


def other_evals(wildcards):
    """What has been evaluated besides, by content: a new evaluation writes the page anew, but none is asked for."""
    found = {*glob(f"{RESULTS}/*/eval_*.json"), *glob(f"{RESULTS}/*/seed*/eval_*.json")}
    return [
        f"{path} {file_sha256(Path(path))[:8]}"
        for path in sorted(found - set(REPORT_EVALS))
    ]


def variant_section(name):
    """The section `score` or `select` as a variant has it, as canonical JSON."""

    def settings(wildcards):
        changed = getattr(SETTINGS, f"variant_{name}")(wildcards.variant)
        return json.dumps(changed.model_dump(mode="json"), sort_keys=True)

    return settings


def variant_scores(wildcards):
    """scores.h5 that a variant chooses from. Variants that score alike share one."""
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.split}"
    scorer = SETTINGS.variant_scorer(wildcards.variant)
    return f"{folder}/select/{scorer}/scores.h5" if scorer else f"{folder}/scores.h5"
