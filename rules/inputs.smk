# Inputs and params that take more than a name. (Rules and functions lie apart: snakemake --lint.)
import os

from ssc_core.config.datasets import (
    check_annotations,
    reader_version,
    reviews_file,
    source_files,
)
from ssc_core.config.targets import refusal

JOINT = {"select.assignment": "joint"}
EVALUATED_NETWORK = (
    f"(?:(?:{'|'.join(sorted({*NETWORKS, 'published'} - {'corrected'}))})_)?"
)
"""In names of files: eval_val.json is of the corrected network, eval_pretrained_val.json of another."""


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


def reader(wildcards):
    """Digest of a reader of the user's own."""
    try:
        return reader_version(SETTINGS, wildcards.dataset)
    except SscError as error:
        raise WorkflowError(str(error))


def shards_of(result):
    """The shards of boxes, masks or scores of a split."""

    def files(wildcards):
        count, name = SETTINGS.compute.shards, result.format(**dict(wildcards.items()))
        return [
            path_of(name, Fixed(wildcards, {"shard": shard, "shards": count}))
            for shard in range(count)
        ]

    return files


def boxes_if_any(wildcards):
    """The boxes that a segmenter is given; a concept segmenter needs none."""
    boxless = varied(wildcards).detect.backend is None
    return [] if boxless else path_of("boxes_shard", wildcards)


def nouns_for_boxes(wildcards):
    if varied(wildcards).detect.backend is None:
        raise WorkflowError(
            "there are no boxes of their own: detect.backend is null, so segment.backend finds masks at once;"
            " ask for masks.h5"
        )
    return path_of("nouns", wildcards)


def scores_of_all(wildcards):
    """The scores of every scorer that has a weight."""
    return [path_of(name, wildcards) for name in scores_of(varied(wildcards))]


def reviews_if_any(wildcards):
    """What people decided of a dataset's refs, once they have."""
    path = reviews_file(SETTINGS, wildcards.dataset)
    return [str(path)] if path.is_file() else []


def training_inputs(wildcards):
    """What a phase is trained on, and what it starts from: `init_from`, the phase before, or Swin and BERT weights."""
    phase, settings = wildcards.phase, varied(wildcards)
    train, start = settings.training(phase), f"{PHASES[phase].after}.pt"
    names = {start: "init"} | ({"truth": "val_truth"} if train.keep == "best" else {})
    of_train = Fixed(wildcards, {"split": "train"})
    files = {
        names.get(name, name): path_of(name, of_train)
        for name in inputs(settings, phase)
    }
    if PHASES[phase].learns_from == "truth":
        files["truth"] = path_of("truth", wildcards)
    if PHASES[phase].learns_from == "masks" and reviews_if_any(wildcards):
        files["reviewed"] = path_of("selected", of_train)
    if train.init_from:
        files["init"] = train.init_from
    return files


def start_version(wildcards):
    """Digest of `init_from`. What this workflow makes itself, Snakemake follows."""
    path = varied(wildcards).training(wildcards.phase).init_from
    made_here = path is not None and Path(path).is_relative_to(RESULTS)
    return "" if made_here else weights_version(path)


def training_state(wildcards, output):
    return "{0.parent}/state/{0.stem}".format(Path(output.checkpoint))


def method_of(wildcards):
    """The method of an evaluated network: eval_val.json is of the corrected one, eval_pretrained_val.json of another."""
    return wildcards.method.removesuffix("_") or "corrected"


def evaluation_of(result):
    """Input: a result of the evaluation of a network."""
    return lambda wildcards: path_of(
        result.format(method=method_of(wildcards)), wildcards
    )


def network_of(wildcards):
    """The checkpoint of a method; of `published`, one that was trained elsewhere. It is fetched if it is not here yet."""
    method = method_of(wildcards)
    if method != "published":
        return path_of(f"{NETWORKS[method]}.pt", wildcards)
    path = SETTINGS.datasets[wildcards.dataset].checkpoint
    if path is None:
        raise WorkflowError(
            f"datasets.{wildcards.dataset}.checkpoint is not set: name the file that is to be evaluated"
        )
    return path


def bert_of(wildcards):
    """Whose tokenizer a network takes that was trained elsewhere; ours say so themselves."""
    published = method_of(wildcards) == "published"
    return varied(wildcards).network.bert if published else ""


def network_name(wildcards):
    """What the network is called whose code may be run: a checkpoint's own word is not enough."""
    return varied(wildcards).network.name


def models_of_network(wildcards):
    return models_of(f"evaluate_{method_of(wildcards)}")(wildcards)


def chain_of(wildcards):
    """The sections that led to selected masks."""
    settings = varied(wildcards)
    sections = ["nouns", "detect", "segment", "score", "select"]
    sections += [
        f"scorers.{name}"
        for name in settings.scorers
        if name in settings.select.scorers
    ]
    return as_json({name: settings.values(name) for name in sections})


def dataset_folder(wildcards):
    return f"{RESULTS}/{wildcards.dataset}"
