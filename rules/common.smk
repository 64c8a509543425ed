# Config, wildcards, and what rules share. Imports nothing heavy: a dry run must stay quick.
import json
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from ssc_core.config_layers import read_layers
from ssc_core.datasets import (
    check_world,
    dataset_identity,
    dataset_source,
    micro_name,
)
from ssc_core.errors import SscError
from ssc_core.files import check_writable
from ssc_core.provenance import code_version, file_sha256
from ssc_core.registry import backend_version, weights_version
from ssc_core.sections.stages import NLTK_TAGGER
from ssc_core.settings import load_settings
from ssc_core.stale_locks import clear_stale_locks
from ssc_core.targets import dataset_pattern

if {"{", "}"} & set(workflow.basedir):
    raise WorkflowError(
        f"{workflow.basedir}: Snakemake takes {{ and }} for wildcards, also in the path of this checkout; move it"
    )

if workflow.is_main_process and clear_stale_locks():
    print("The last run here was killed: its lock is removed.", file=sys.stderr)

# Not Snakemake's `config`: see ssc_core/config_layers.py. With --replace-workflow-config, config.yaml is left out.
CONFIGS = workflow.config_settings
CONFIG_FILES = [Path(workflow.basedir, "config.yaml"), *CONFIGS.configfiles]
try:
    LAYERS = CONFIG_FILES[CONFIGS.replace_workflow_config :]
    SETTINGS = load_settings(read_layers(LAYERS, CONFIGS.config))
    check_world(SETTINGS)
except SscError as error:
    raise WorkflowError(str(error))

RESULTS = SETTINGS.results
SHARDS = SETTINGS.compute.shards


wildcard_constraints:
    dataset=dataset_pattern(SETTINGS),
    split="|".join(
        sorted({re.escape(s) for d in SETTINGS.datasets.values() for s in d.splits})
    ),
    # whose training: empty for the seeds that the config states, or seed7/ for all that is trained with seed 7
    run=r"(?:seed\d+/)?",
    shard=r"\d+",
    shards=r"\d+",
    variant="|".join(re.escape(name) for name in SETTINGS.compare.variants) or "none",


def section(name, settings=SETTINGS):
    """One section of the config as canonical JSON: the `settings` param of a rule, so that a change reruns it."""
    return json.dumps(getattr(settings, name).model_dump(mode="json"), sort_keys=True)


def sections(*names, settings=SETTINGS):
    """Several sections of the config as canonical JSON."""
    return json.dumps(
        {name: getattr(settings, name).model_dump(mode="json") for name in names},
        sort_keys=True,
    )


def compat(*names, settings=SETTINGS):
    """The compat switches that a rule reads, as canonical JSON."""
    return json.dumps(
        {name: getattr(settings.compat, name) for name in names}, sort_keys=True
    )


def code(script):
    """Digest of a workflow script and of all that it imports from ssc_core, for `params`: `snakemake -n` shows it."""
    return f"code of {script}: {code_version(f'workflow_scripts.{script}')}"


def gpu(count=1):
    """The resource `gpu`: none where the cluster wants `gres` instead."""
    return 0 if SETTINGS.compute.gres else count


def gres(count=1):
    """The resource `gres`, as Slurm's option of that name; empty where `gpu` is asked for."""
    return f"{SETTINGS.compute.gres}:{count}" if SETTINGS.compute.gres else ""


def weights(*paths):
    """Digests of the weights that lie at paths, for `params`."""
    return "; ".join(
        f"weights {path}: {weights_version(path)}"
        for path in paths
        if weights_version(path)
    )


def backend_state(backend):
    """Code and weights behind a backend, for `params`."""
    paths = [v for v in backend.settings.values() if isinstance(v, str)]
    try:
        version = backend_version(backend.name)
    except SscError as error:
        raise WorkflowError(str(error))
    return f"backend {backend.name}: {version}; {weights(*paths)}"


def dataset(wildcards):
    return SETTINGS.datasets[wildcards.dataset]


def images_of(name):
    """Where a dataset's photos lie. Not an input: their number is large, and refs.parquet stands for them."""
    return dataset_source(SETTINGS, name).images_folder.as_posix()


def images_folder(wildcards):
    return images_of(wildcards.dataset)


def shard_files(kind):
    """The shards of boxes, masks or scores of a split."""
    return expand(
        "{folder}/{{dataset}}/{{split}}/shards/{kind}.{shard}-of-{shards}.h5",
        folder=RESULTS,
        kind=kind,
        shard=range(SHARDS),
        shards=SHARDS,
    )


onstart:
    try:
        check_writable(Path(RESULTS))
    except SscError as error:
        raise WorkflowError(str(error))


onerror:
    print(
        "A job failed. Its log is named above and in `snakemake --summary`; run the same command again to resume.",
        file=sys.stderr,
    )
