# Config, wildcards, and what rules share. Imports nothing heavy: a dry run must stay quick.
import json
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.persistence.file import FilePersistence

# where this workflow lies, also when it is a module of another one, whose folder workflow.basedir is then
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if (HERE / "config.yaml").is_file():
    sys.path.insert(0, str(HERE))
else:  # a module that Snakemake fetched from a forge, of which only rules come: all else is in the installed package
    try:
        from ssc_core.checkout import HOME as HERE
    except ImportError:
        raise WorkflowError(
            f"the workflow was fetched from {HERE}, without its package; install that where Snakemake is: "
            "`pip install` of the wheel that `make wheel` makes, of the same version"
        )

from ssc_core.config.layers import plain_values, read_layers
from ssc_core.config.methods import MATCHED, NETWORKS, PHASES
from ssc_core.config.planned import keep, planned
from ssc_core.config.stages import (
    TRAINED,
    inputs,
    plugin_versions,
    scores_of,
    stage_named,
    value_of,
)
from ssc_core.config.study import BASE
from ssc_core.config.toys import label_stages, toys_of
from ssc_core.config.training import check_prior
from ssc_core.config.variants import PATTERN as VARIANT_PATTERN
from ssc_core.config.variants import Variants, change
from ssc_core.config.datasets import (
    absent_reviews,
    check_world,
    dataset_identity,
    dataset_source,
    dataset_world,
    micro_name,
    micro_settings,
)
from ssc_core.errors import SscError
from ssc_core.files import check_writable
from ssc_core.layout import RESULT_FOLDER, dataset_folders, template
from ssc_core.provenance import ROOT as CODE
from ssc_core.provenance import code_version, file_sha256
from ssc_core.registry import backend_version, possible_paths, weights_version
from ssc_core.config.settings import load_settings
from ssc_core.stale_locks import begin_run, keep_locks_of_others
from ssc_core.toys import check_stages, warnings_of_values
from ssc_core.studies import (
    check_studies,
    evaluations,
    find_study,
    named_changes,
    rows,
    training_logs,
)
from ssc_core.config.targets import dataset_pattern

if {"{", "}"} & set(str(HERE)):
    raise WorkflowError(
        f"{HERE}: Snakemake takes {{ and }} for wildcards, also in the path of this checkout; move it"
    )

keep_locks_of_others(FilePersistence)
RUN = begin_run() if workflow.is_main_process else None
if RUN and RUN.cleared:
    print("A run here was killed: its lock is removed.", file=sys.stderr)

# Not Snakemake's `config`, but for a module that is given one: see ssc_core/config/layers.py. With
# --replace-workflow-config, config.yaml is left out. A job has what was planned, whatever these files are by then.
CONFIGS, GIVEN = workflow.config_settings, workflow.modifier.skip_configfile
CONFIG_FILES = [HERE / "config.yaml", *(() if GIVEN else CONFIGS.configfiles)]
try:
    LAYERS = CONFIG_FILES[CONFIGS.replace_workflow_config :]
    TEXTS = {} if GIVEN else CONFIGS.config
    OVERRIDES = config if GIVEN else plain_values(TEXTS)
    PLANNED = None if RUN else planned(CONFIGS.configfiles)
    SETTINGS = load_settings(PLANNED or read_layers(LAYERS, OVERRIDES), TEXTS)
    check_world(SETTINGS, local_copy)
    check_studies(SETTINGS)
except SscError as error:
    raise WorkflowError(str(error))

if RUN:
    told = absent_reviews(SETTINGS)
    if any(dataset_world(SETTINGS, name) == "files" for name in SETTINGS.datasets):
        told += warnings_of_values(read_layers(CONFIG_FILES[1:], OVERRIDES))
    print("".join(f"{line}\n" for line in told), end="", file=sys.stderr)

# Not for a module: the config files are those of the workflow around it
OURS = {str(HERE / name) for name in ("Snakefile", "workflow/Snakefile")}
if RUN and str(workflow.main_snakefile) in OURS and (kept := keep(SETTINGS)):
    CONFIGS.configfiles[:] = [kept]  # which jobs are given
    workflow.configfiles.append(kept)  # which are sent to where no drive is shared

RESULTS = SETTINGS.results
VARIANTS = Variants(SETTINGS)


# All of them here, before any rule: a later statement makes Snakemake forget those of outputs in a storage.
wildcard_constraints:
    dataset=dataset_pattern(SETTINGS),
    split="|".join(
        sorted({re.escape(s) for d in SETTINGS.datasets.values() for s in d.splits})
    ),
    # empty for the config itself; seed7/ or select.choice=first/ for the same with other values
    variant=VARIANT_PATTERN,
    phase="|".join(PHASES),
    shard=r"\d+",
    shards=r"\d+",
    scorer=r"\w+",
    study="|".join(re.escape(name) for name in SETTINGS.studies) or "none",


onstart:
    # by now Snakemake has made its lock files; with --nolock there are none
    if RUN:
        RUN.owns(getattr(workflow.persistence, "_lockfile", {}).values())
    try:
        check_writable(Path(RESULTS))
    except SscError as error:
        raise WorkflowError(str(error))


onerror:
    print(
        "A job failed. Its log is named above and in `snakemake --summary`; run the same command again to resume.",
        file=sys.stderr,
    )
