"""Rule train: train a network for one phase."""

import json
import os
import sys

from ssc_core.checkout import find_paths
from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import NetworkSettings, TrainSettings
from ssc_core.correct.launch import distributed_command
from ssc_core.correct.train_stage import TrainFiles, TrainJob, TrainOutputs, train
from workflow_scripts._script import run


def main(
    phase: str,
    files: TrainFiles,
    settings: str,
    compat: CompatSettings,
    job: TrainJob,
    gpus: int,
    nodes: int,
    outputs: TrainOutputs,
) -> None:
    command = distributed_command("workflow_scripts.call", sys.argv[1:], gpus=gpus, nodes=nodes, environment=os.environ)
    if command:  # this process becomes torchrun: it keeps the GPUs, and its end is the job's
        sys.stdout.flush()
        os.execvp(command[0], command)
    sections = find_paths(json.loads(settings))
    train(
        files,
        outputs,
        network=NetworkSettings.model_validate(sections["network"]),
        settings=TrainSettings.model_validate(sections[phase]),
        compat=compat,
        job=job,
    )


if __name__ == "__main__":
    run(main)
