# What reaches a shell: the line of every rule, its strict mode, and where the checkout is.
import os
import shlex

# Shells find the checkout here, whatever characters its path has; no absolute path gets into what decides on reruns.
os.environ.update(SSC_CHECKOUT=workflow.basedir)

# A prefix replaces Snakemake's own, strict mode included.
# The allocator limits keep glibc from returning memory after every step: system time fell from 22 % to 6 % of a training.
shell.prefix(
    "set -euo pipefail;"
    ' export PYTHONPATH="$SSC_CHECKOUT${{PYTHONPATH:+:$PYTHONPATH}}"'
    " MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=16000000000; "
)


def job(script, *options):
    """The shell line of a rule: a script of workflow_scripts. `ssc_core.job` keeps its log and tells how it ended."""
    return " ".join(
        ["python -m ssc_core.job {log:q} {resources.mem_mb}", script, *options]
    )


def file_options(wildcards, input, output):
    """Named inputs and outputs as options of the script."""
    files = [*input.items(), *output.items()]
    return " ".join(
        f"--{name.replace('_', '-')} {shlex.quote(path)}" for name, path in files
    )
