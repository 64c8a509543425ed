"""Where jobs run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ssc_core.config.base import Section


class BatchSettings(Section):
    """What a model gets at once. null: as much as its backend takes by default; plug-ins may have no such limit."""

    detect: int | None = Field(default=None, ge=1, description="photos that the detector gets at once")
    segment: int | None = Field(default=None, ge=1, description="photos that the segmenter gets at once")
    score: int | None = Field(default=None, ge=1, description="prompted images that the encoder gets at once")


class ComputeSettings(Section):
    """Where and how wide jobs run. Nothing here reruns a rule.

    Labels (boxes, masks, scores, choices) are the same for any number of threads. Trained weights are not: sums of
    floats depend on threads, device and number of GPUs (1 and 2 threads: weights differ by 1e-4).
    """

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU when there is one")
    threads: int = Field(default=8, ge=1, description="CPU threads per job, capped by --cores")
    batch: BatchSettings = Field(
        default_factory=BatchSettings, description="lower where a GPU's memory is short, higher where it is idle"
    )
    shards: int = Field(
        default=1, ge=1, description="jobs per split in Segment and Select; results do not depend on it"
    )
    save_minutes: float = Field(
        default=10, ge=0, description="minutes between saved states of a training; a killed one goes on from there"
    )
    gpus: int = Field(default=1, ge=1, description="GPUs per node for one training, one process each (torchrun)")
    gres: str = Field(
        default="",
        pattern=r"^(gpu(:[A-Za-z0-9_.]+)?)?$",
        description="where Slurm hands out GPUs by --gres only: what to ask for, without the number, as gpu:a100",
    )
    checkpoint_activations: bool = Field(
        default=False,
        description="training computes activations again instead of keeping them: less memory, a third more time, the "
        "same numbers",
    )
    compile: bool = Field(
        default=False,
        description="training runs the network through torch.compile: minutes at the start, other roundings; never "
        "measured on a GPU",
    )
    nodes: int = Field(default=1, ge=1, description="nodes for one training; more than one needs Slurm")
    log_to: Literal["csv", "tensorboard", "wandb"] = Field(
        default="csv", description="where the training log goes besides the CSV file, which is always written"
    )
