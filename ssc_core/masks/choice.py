"""Choices that are no candidate, and those among a ref's candidates that look at no score: at random, and the first."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ssc_core.config.labelling import CompatSettings, SelectSettings

NONE = -1
"""The choice of a ref that has no candidate, or only ones that are too small."""

DRAWN = -2
"""The choice of a ref whose mask a person drew: no candidate, its mask lies beside it."""


def eligible(areas: np.ndarray, min_area: int) -> np.ndarray:
    """bool (K,): a lone candidate whatever its size; of several, those of at least ``min_area`` pixels."""
    if len(areas) == 1:
        return np.ones(1, dtype=bool)
    return np.asarray(areas) >= min_area


def choose_blindly(
    choice: Literal["random", "first"],
    areas: np.ndarray,
    settings: SelectSettings,
    compat: CompatSettings,
    *,
    ref_id: int,
) -> int:
    """Index of a candidate, or ``NONE``. areas: (K,), pixels.

    ``random`` depends on ``settings.seed`` and ``ref_id`` alone, so neither on the order of refs nor on shards. Both
    choose among ``eligible`` candidates, with ``compat.blind_to_size`` among all.
    """
    among = np.flatnonzero(eligible(areas, 0 if compat.blind_to_size else settings.min_area))
    if len(among) == 0:
        return NONE
    if choice == "first":
        return int(among[0])
    return int(np.random.default_rng((settings.seed, ref_id)).choice(among))
