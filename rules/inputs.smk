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
    return [local(path) for path in source_files(SETTINGS, wildcards.dataset)]


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


def reviews_of_people(wildcards):
    """What people decided of a dataset's refs, once they have."""
    path = reviews_file(SETTINGS, wildcards.dataset)
    return [local(str(path))] if path.is_file() else []


def reviews_if_any(wildcards):
    """The same, or what a simulated reviewer answers in their place."""
    if varied(wildcards).reviewer.share:
        return [path_of("simulated_reviews", wildcards)]
    return reviews_of_people(wildcards)


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
