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
        *(f"--config {os.path.relpath(f)}" for f in CONFIG_FILES[1:]),
    ]
    try:
        check_annotations(SETTINGS, wildcards.dataset, " ".join(fetch))
    except SscError as error:
        if IN_STORAGE:  # whose refs.parquet is not looked up
            raise WorkflowError(str(error))
        stop(str(error))
    files = annotation_files(wildcards)
    check_index(wildcards, files)
    return [local(path) for path in files]


def annotation_files(wildcards):
    return source_files(SETTINGS, wildcards.dataset)


def check_index(wildcards, annotations):
    """Annotations may be gone once their index is made, which then stays as it is: the plan ends where it would not."""
    index = made("refs").format(**dict(wildcards.items()))
    gone = [path for path in annotations if not (Path(path).exists() or has_rule(path))]
    if gone and workflow.is_main_process and (why := changed_params(index, wildcards)):
        stop(
            f"{index} would have to be made again, and cannot: {' and '.join(gone)} not found.\n{why}\n"
            f"Put the annotations back, or undo the change; `snakemake --cleanup-metadata {index}` keeps what is there"
        )


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


def selections_by_name(wildcards):
    """What Select chose, and what it would choose jointly. Of choices that were imported there are no scores to do so."""
    own = {"selected": path_of("selected", wildcards)}
    if Path(own["selected"]).is_file():
        from ssc_core.exchange.origin import is_imported  # which takes h5py

        if is_imported(Path(own["selected"])):
            return own
    return {**own, "joint": path_of("selected", wildcards, JOINT)}


def reviews_of_people(wildcards):
    """What people decided of a dataset's refs, once they have."""
    path = reviews_file(SETTINGS, wildcards.dataset)
    return [local(str(path))] if path.is_file() else []


def reviews_if_any(wildcards):
    """The same, or what a simulated reviewer answers in their place."""
    if varied(wildcards).reviewer.share:
        return [path_of("simulated_reviews", wildcards)]
    return reviews_of_people(wildcards)


def chain_of(result):
    """Param: all of the config that led to a result."""

    def chain(wildcards):
        name = result.format(method=method_of(wildcards))
        try:
            return as_json(VARIANTS.led_to(name, wildcards.get("variant", "")))
        except SscError as error:
            raise WorkflowError(str(error))

    return chain


def dataset_folder(wildcards):
    return f"{RESULTS}/{wildcards.dataset}"
