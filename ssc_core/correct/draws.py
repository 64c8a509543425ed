"""Random streams that are functions of the seed, the epoch and the image alone, whatever was drawn before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stream(seed: Sequence[int], image_id: int, *, kind: int | None = None) -> np.random.Generator:
    """seed: as of the run and the epoch, from 0; image_id: any that a dataset has, negative ones too.

    kind: what is drawn, where one seed serves for several things that must not follow from each other.
    """
    entropy = [*seed, int(image_id) % 2**64]
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=() if kind is None else (kind,)))
