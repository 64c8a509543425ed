# What reaches a shell: the line of every rule, its strict mode, and where the checkout is.
import os
import shlex
import shutil

# Shells find the checkout here, whatever characters its path has; no absolute path gets into what decides on reruns.
os.environ.update(SSC_CHECKOUT=str(HERE))

# Where no `python` is found, as when Snakemake was called by its path, jobs have that of Snakemake.
if shutil.which("python") is None:
    os.environ.update(
        PATH=os.pathsep.join([*os.get_exec_path(), str(Path(sys.executable).parent)])
    )

# A prefix replaces Snakemake's own, strict mode included.
shell.prefix(
    "set -euo pipefail;"
    ' export PYTHONPATH="$SSC_CHECKOUT${{PYTHONPATH:+:$PYTHONPATH}}"; '
)


def call(calls, places, files=False):
    """A shell line that calls a function. places: where its arguments are, as `input.refs` or `out=output.masks`, with a
    star before those that are several, as `*input.shards`.

    files: with all named inputs and outputs too, which `params.files` has, where they differ from job to job.
    `ssc_core.job` keeps the log and tells how the job ended.
    """
    options = []
    for place in places.split():
        name, _, value = place.lstrip("*").rpartition("=")
        name = (name or value.rpartition(".")[2]).replace("_", "-")
        # after a sign of equality an empty text is a value, too
        options.append(f"--{name}{' ' if place.startswith('*') else '='}{{{value}:q}}")
    named = ["{params.files}"] if files else []
    runner = "python -m ssc_core.job {log:q} {resources.mem_mb} call"
    return " ".join([runner, calls, *named, *options])


def calls(name, places, files=False):
    """The shell line of a stage, or of all stages of a rule with wildcards."""
    return call(stage_like(name).calls, places, files)


def file_options(wildcards, input, output):
    """Named inputs and outputs as options."""
    files = [*input.items(), *output.items()]
    return " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(path)}" for name, path in files
    )
