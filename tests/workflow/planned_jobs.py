"""The jobs of a plan as JSON: ``python planned_jobs.py SNAKEFILE CONFIG TARGET ...``, in the folder of a run.

Of each job: rule, wildcards, input, output, params, resources and shell line, as Snakemake has them once it has called
functions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings


def planned_jobs(snakefile: Path, config: Path, targets: list[str]) -> list[dict[str, Any]]:
    with SnakemakeApi(OutputSettings(quiet=set(), dryrun=True)) as api:
        planned = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[config]),
            snakefile=snakefile,
        ).dag(dag_settings=DAGSettings(targets=set(targets), forceall=True))
        workflow = planned.workflow_api._workflow  # Snakemake's own way to its jobs; the API has only pictures of them
        workflow.dag_settings = planned.dag_settings
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
        workflow._build_dag()
        return [
            {
                "rule": job.rule.name,
                "wildcards": dict(job.wildcards.items()),
                "input": [str(path) for path in job.input],
                "output": [str(path) for path in job.output],
                "params": {name: str(value) for name, value in job.params.items()},
                "resources": {name: job.resources.get(name) for name in ("gpu", "device")},
                "shell": job.rule.shellcmd,
            }
            for job in workflow.dag.jobs
        ]


if __name__ == "__main__":
    jobs = planned_jobs(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    sys.stdout.write(json.dumps(jobs))
