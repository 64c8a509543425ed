"""Rule train: train a network for one phase."""

import json
import os
import sys
from pathlib import Path

from ssc_core.checkout import find_paths
from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import NetworkSettings, TrainSettings
from ssc_core.correct.launch import distributed_command
from ssc_core.correct.train_stage import train


def main(
    phase: str,
    refs: Path,
    images: Path,
    settings: str,
    compat: CompatSettings,
    state: Path,
    device: str,
    threads: int,
    save_minutes: float,
    log_to: str,
    gpus: int,
    nodes: int,
    checkpoint_activations: bool,
    checkpoint: Path,
    curve: Path,
    matches: Path,
    masks: Path | None = None,
    selected: Path | None = None,
    init: Path | None = None,
    truth: Path | None = None,
    val_truth: Path | None = None,
    reviewed: Path | None = None,
) -> None:
    command = distributed_command("workflow_scripts.call", sys.argv[1:], gpus=gpus, nodes=nodes, environment=os.environ)
    if command:  # this process becomes torchrun: it keeps the GPUs, and its end is the job's
        sys.stdout.flush()
        os.execvp(command[0], command)
    sections = find_paths(json.loads(settings))
    train(
        refs=refs,
        split="train",
        images=images,
        masks=masks,
        selected=selected,
        truth=truth,
        init=init,
        val=("val", val_truth) if val_truth else None,
        reviewed=reviewed,
        out=checkpoint,
        log_csv=curve,
        matches=matches,
        state_dir=state,
        network=NetworkSettings.model_validate(sections["network"]),
        settings=TrainSettings.model_validate(sections[phase]),
        compat=compat,
        device=device,
        threads=threads,
        save_minutes=save_minutes,
        log_to=log_to,
        checkpoint_activations=checkpoint_activations,
    )
