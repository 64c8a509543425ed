"""A short training of a small LAVT: ``python -m ssc_core.gpu_check.training FOLDER --device cuda [--kill-at STEP]``.

Writes FOLDER/weights.npy, all trained weights in a row. With ``--kill-at`` the process kills itself in that step; with
``--apart`` it begins a rounding away from where others begin.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct.items import Items, build_items
from ssc_core.correct.losses import greedy_ce
from ssc_core.correct.run_state import RunState
from ssc_core.correct.trainer import Run, Trainer
from ssc_core.gpu_check import networks
from ssc_core.refer.ref import Ref

SIDE, IMAGES, REFS = 96, 8, 2
ROUNDING = 3e-7
"""Of a weight: some units in the last place of float32."""
SETTINGS: dict[str, Any] = {"loss": "greedy_ce", "epochs": 4, "batch_samples": 8, "lr": 1e-3, "keep": "last"}


class Rectangles:
    """The same candidates for all refs of an image."""

    corrupted = 0

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        return (np.roll(networks.candidate_masks(SIDE, (3,)), 5 * ref.image_id, axis=2),)


def make_items() -> Items:
    pictures = networks.photos(IMAGES, SIDE, SIDE)
    refs = {
        image: [
            Ref(image * REFS + i, 0, image, str(image), SIDE, SIDE, "train", 1, "box", (0,), ("box",))
            for i in range(REFS)
        ]
        for image in range(IMAGES)
    }

    def tokenize(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, attention = networks.words(len(sentences))
        return ids.numpy(), attention.numpy()

    return build_items(refs.items(), Rectangles(), tokenize, lambda name: pictures[int(name)], side=SIDE)


def first_weights() -> np.ndarray:
    return weights(networks.make_lavt(small=True))


def weights(network: torch.nn.Module) -> np.ndarray:
    """All trained weights in a row, float32."""
    return np.concatenate([p.detach().cpu().numpy().ravel() for p in network.parameters() if p.requires_grad])


def set_apart(network: torch.nn.Module) -> None:
    """Change each weight by about as much as a sum in another order does."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1 + ROUNDING * torch.randn(weight.shape, generator=generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", required=True)
    parser.add_argument("--kill-at", type=int, help="step in which the process kills itself")
    parser.add_argument("--apart", action="store_true", help="begin a rounding away")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    calls = 0

    def loss(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == options.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return greedy_ce(*arguments)

    network = networks.make_lavt(small=True)
    if options.apart:
        set_apart(network)
    settings = TrainSettings(**SETTINGS, precision="fp32")
    run = Run(state=RunState(options.folder / "state", {"code": "check"}), device=options.device, save_minutes=0)
    trainer = Trainer(network, make_items(), loss, settings, CompatSettings(), run)
    trainer.fit()
    if trainer.world.is_first:
        np.save(options.folder / "weights.npy", weights(trainer.model))


if __name__ == "__main__":
    main()
