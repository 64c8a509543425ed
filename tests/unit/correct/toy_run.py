"""A short training of the toy, with a teacher, mirrored photos, a prior, weights by confidence and a log of
matches:

    python -m tests.unit.correct.toy_run FOLDER EPOCHS SAVE_MINUTES [KILL [SIGNAL]]

With KILL the process sends itself that signal, as it is SIGKILL, in the middle of that step.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import TrainSettings
from ssc_core.correct.losses import chosen_loss
from ssc_core.correct.run_state import RunState
from ssc_core.correct.trainer import Run, Trainer
from tests.unit.correct.toy import TinySegmenter, make_items

SETTINGS = {
    "loss": "greedy_ce", "batch_samples": 6, "lr": 3e-3, "keep": "last", "precision": "fp32", "ema_decay": 0.9,
    "mirror": 0.5, "prior_weight": 0.5, "confidence_temperature": 0.5,
}  # fmt: skip


def sha256(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def main(
    folder: Path,
    epochs: int,
    save_minutes: float,
    kill_at: int | None = None,
    number: int = signal.SIGKILL,
    dropout: float = 0.05,
) -> str:
    """Train; returns the SHA-256 of the final weights."""
    settings = TrainSettings(**SETTINGS, epochs=epochs)
    photos = folder / f"photos{os.environ.get('RANK', '')}"
    photos.mkdir(exist_ok=True)
    items = make_items(photos, images=8, mirror=True, prior=lambda ref, places: (np.array([0.8, 0.2]),))
    torch.manual_seed(0)
    model = TinySegmenter(dropout=dropout)
    loss = chosen_loss(settings, CompatSettings())
    calls = 0

    def loss_or_death(samples):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), number)
        found = loss(samples)
        # the prior's weight goes by what is done, and may change no match: so any change of it shows
        return found._replace(value=found.value * (1 + samples.done))

    state = RunState(folder / "state", {"data": "toy"})
    run = Run(state=state, save_minutes=save_minutes, log_matches=True)
    trainer = Trainer(model, items, loss_or_death, settings, CompatSettings(), run)
    trainer.fit()
    if trainer.world.is_first:
        np.savetxt(folder / "matches.txt", state.matches(), fmt="%d")
        state.finish(folder / "log.csv")
    return sha256(model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, epochs, save_minutes, *rest = sys.argv[1:]
    kill_at, number = (*map(int, rest), *(None, signal.SIGKILL)[len(rest) :])
    # stochastic layers draw anew in every process, so a run on several has none
    main(Path(folder), int(epochs), float(save_minutes), kill_at, number, dropout=0.0 if "RANK" in os.environ else 0.05)
