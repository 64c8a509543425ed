# Where what rules read and write lies, and what their jobs need. (Rules and functions lie apart: snakemake --lint.)
from snakemake.logging import logger


def made(result):
    """Output: where a result of a stage lies, wildcards left open."""
    return template(result, RESULTS)


def home(path):
    """Output: a path below a dataset's folder, or a variant's of it."""
    return f"{RESULTS}/{RESULT_FOLDER}{path}"


def logs(path):
    """A log, beside what is written, in a folder `logs`."""
    folder, _, name = path.rpartition("/")
    return home(f"{folder}/logs/{name}.log" if folder else f"logs/{name}.log")


def benchmarks(path):
    folder, _, name = path.rpartition("/")
    return home(
        f"{folder}/benchmarks/{name}.tsv" if folder else f"benchmarks/{name}.tsv"
    )


def path_of(result, wildcards, changes=None):
    """A result for the variant that wildcards name, in the folder of those changes that reach it."""
    values = dict(wildcards.items())
    try:
        values["variant"] = VARIANTS.folder(result, values.get("variant", ""), changes)
    except SscError as error:
        raise WorkflowError(str(error))
    return made(result).format(**values)


def found(result, changes=None, **fixed):
    """Input: a result of a stage. changes: of the config, for this input alone; fixed: wildcards, as split="train"."""
    return lambda wildcards: path_of(
        result.format(**dict(wildcards.items())), Fixed(wildcards, fixed), changes
    )


def given(path, key):
    """Input: a file of the user's own; a result of this workflow is where results are. key: where the config names it.

    The plan ends where the file is not there, and no rule makes it.
    """
    if Path(path).is_relative_to(RESULTS):
        return path if IN_STORAGE else existing(path, key)
    return local(existing(path, key))


def existing(path, key):
    if workflow.is_main_process and not Path(path).exists() and not has_rule(path):
        stop(
            f"{key} is {path}, which is not there, and nothing makes it: put the file there, or name another one"
        )
    return path


@cache
def has_rule(path):
    return any(rule.is_producer(path) for rule in workflow.rules)


def stop(message):
    """End the plan. An error that Snakemake knows would not, where outputs are there already: it takes these for files that
    nobody makes, and a change of what they are made from for nothing to be done."""
    logger.error(message)
    raise SystemExit(1)


def each(*inputs):
    """Input: several of them, as a list."""
    return lambda wildcards: [one(wildcards) for one in inputs]


class Fixed:
    """Wildcards of which some have a value of their own."""

    def __init__(self, wildcards, fixed):
        self.values = {**dict(wildcards.items()), **fixed}

    def items(self):
        return self.values.items()


def varied(wildcards):
    """The settings of the variant that wildcards name."""
    try:
        return VARIANTS.settings_of(wildcards.get("variant", ""))
    except SscError as error:
        raise WorkflowError(str(error))


def gpu_job(count=1, minutes=720, memory=16000, **more):
    """Resources of what uses GPUs. A cluster that hands them out by gres gets no `gpu`."""
    gres = SETTINGS.compute.gres
    return {
        "gpu": 0 if gres else count,
        "gres": f"{gres}:{count}" if gres else "",
        "mem_mb": memory,
        "runtime": minutes,
        "device": SETTINGS.compute.device,
        **more,
    }


@cache
def images_of(name):
    """Where a dataset's photos lie. Not an input: their number is large, and refs.parquet stands for them."""
    return dataset_source(SETTINGS, name).images_folder.as_posix()


def images_folder(wildcards):
    return images_of(wildcards.dataset)
