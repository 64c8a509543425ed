"""Rules pretrain and correct: train a network for one phase."""

import json
from pathlib import Path

from ssc_core.correct.train_stage import train
from ssc_core.settings import CompatSettings, NetworkSettings, TrainSettings
from workflow_scripts._script import run


def main(
    refs: Path,
    images: Path,
    settings: str,
    compat: CompatSettings,
    state: Path,
    device: str,
    threads: int,
    save_minutes: float,
    out: Path,
    curve: Path,
    masks: Path | None = None,
    selected: Path | None = None,
    init: Path | None = None,
    truth: Path | None = None,
    val_truth: Path | None = None,
) -> None:
    sections = json.loads(settings)
    train(
        refs=refs,
        split="train",
        images=images,
        masks=masks,
        selected=selected,
        truth=truth,
        init=init,
        val=("val", val_truth) if val_truth else None,
        out=out,
        log_csv=curve,
        state_dir=state,
        network=NetworkSettings.model_validate(sections["network"]),
        settings=TrainSettings.model_validate(sections["train"]),
        compat=compat,
        device=device,
        threads=threads,
        save_minutes=save_minutes,
    )


run(main)
