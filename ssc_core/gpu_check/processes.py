"""What only processes of their own can show: a training that is killed, two jobs for one GPU, a training on two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ssc_core.gpu_check.findings import Finding, Skip, difference
from ssc_core.gpu_check.leased import SECONDS
from ssc_core.gpu_check.machine import Place

TRAINING, LEASED = "ssc_core.gpu_check.training", "ssc_core.gpu_check.leased"
NOISE = 10.0
"""How many times the difference of two undisturbed trainings one that was killed may differ from them. A GPU adds in no
fixed order, and AdamW makes large steps of small gradients, so that this is the only measure; on a CPU both are 0."""
TWO_PROCESSES = 3.0
"""How many times the difference that a rounding at the start makes two processes may differ from one. They add in
another order, which AdamW enlarges: on a CPU both are about 0.1 of the way that the weights went. Without sums of the
gradients, or of batch norms, it is the whole way."""
LIMIT = 300


def killed_and_resumed(place: Place) -> Iterator[Finding]:
    """A training that is killed in its sixth step and started again, against two that were not."""
    import ssc_core.correct.trainer  # noqa: F401  says here what is not installed

    whole, again, killed = (place.folder / name for name in ("whole", "again", "killed"))
    for folder in (whole, again):
        _train(folder, place.device)
    status = _run(_training(killed, place.device, "--kill-at", "6"))
    yield Finding("training: status of the killed process", abs(status + signal.SIGKILL), 0, "difference")
    _train(killed, place.device)
    noise = _distance(again, whole)
    yield Finding("training: two undisturbed runs", noise, 0.05 if place.is_gpu else 0, "of the way")
    yield Finding("training: killed and resumed", _distance(killed, whole), NOISE * noise, "of the way")


def two_processes(place: Place) -> Iterator[Finding]:
    """A training on two GPUs by NCCL, or of two processes on a CPU by gloo, against one of one process."""
    import ssc_core.correct.trainer  # noqa: F401

    if place.is_gpu and torch.cuda.device_count() < 2:
        raise Skip(f"it needs two GPUs, and there is {torch.cuda.device_count()}")
    one, apart, two = (place.folder / name for name in ("one", "apart", "two"))
    _train(one, place.device)
    _train(apart, place.device, "--apart")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    _must(_run([sys.executable, *torchrun, *_training(two, place.device)[1:]]))
    noise = _distance(apart, one)
    yield Finding("training: one that began a rounding away", noise, 0.25, "of the way")
    way = "NCCL" if place.is_gpu else "gloo"
    yield Finding(
        f"training: two processes ({way}) against one", _distance(two, one), TWO_PROCESSES * noise, "of the way"
    )


def one_card_for_two(place: Place) -> Iterator[Finding]:
    """Two jobs that start at once and lease the same card: their work may not overlap."""
    from ssc_core.devices import VISIBLE, visible_cards

    files = [place.folder / f"{name}.json" for name in ("first", "second")]
    pretend = [] if place.is_gpu else ["--locks", str(place.folder / "locks")]
    environment = dict(os.environ)
    if place.is_gpu:
        environment[VISIBLE] = visible_cards()[0]
    commands = [[sys.executable, "-m", LEASED, str(file), "--device", place.device, *pretend] for file in files]
    jobs = [subprocess.Popen(command, env=environment) for command in commands]
    for job in jobs:
        _must(job.wait(LIMIT))
    first, second = sorted((json.loads(file.read_text()) for file in files), key=lambda job: float(job["began"]))
    yield Finding(
        "lease: cards that the two jobs had, beyond one", len({*first["cards"], *second["cards"]}) - 1, 0, "cards"
    )
    overlap = max(0.0, min(first["ended"], second["ended"]) - second["began"])
    yield Finding(f"lease: overlap of two jobs of {SECONDS:g} s", overlap, 0, "seconds")


def _training(folder: Path, device: str, *more: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [sys.executable, "-m", TRAINING, str(folder), "--device", device, *more]


def _train(folder: Path, device: str, *more: str) -> None:
    _must(_run(_training(folder, device, *more)))


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False, timeout=LIMIT).returncode


def _must(status: int) -> None:
    if status:
        raise RuntimeError(f"a process of this check ended with {status}; what it said is above")


def _distance(found: Path, expected: Path) -> float:
    """How far the weights of two trainings are apart, in parts of how far the second moved from the first weights."""
    from ssc_core.gpu_check.training import first_weights

    first = first_weights()
    one, other = (np.load(folder / "weights.npy") for folder in (found, expected))
    return difference(one - first, other - first)
