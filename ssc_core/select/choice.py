"""One candidate of a ref from its scores: the published rule, and the choices that it is compared with."""

from __future__ import annotations

import numpy as np

from ssc_core.settings import SelectSettings

NONE = -1
"""The choice of a ref that has no candidate, or only ones that are too small."""


def choose(scores: np.ndarray, areas: np.ndarray, settings: SelectSettings, *, ref_id: int) -> int:
    """Index of the chosen candidate, or ``NONE``.

    scores: (S, K), cosine times 100 of every sentence and candidate; areas: (K,), pixels. ``score`` takes the highest
    mean over the sentences, and of equal ones the last, as published. ``random`` depends on ``settings.seed`` and
    ``ref_id`` alone, so neither on the order of refs nor on shards. Every choice is among ``eligible`` candidates.
    """
    among = np.flatnonzero(eligible(areas, settings.min_area))
    if len(among) == 0:
        return NONE
    if settings.choice == "first":
        return int(among[0])
    if settings.choice == "random":
        return int(np.random.default_rng((settings.seed, ref_id)).choice(among))
    return int(among[_last_argmax(mean_scores(scores)[among])])


def eligible(areas: np.ndarray, min_area: int) -> np.ndarray:
    """bool (K,): a lone candidate whatever its size; of several, those of at least ``min_area`` pixels."""
    if len(areas) == 1:
        return np.ones(1, dtype=bool)
    return np.asarray(areas) >= min_area


def mean_scores(scores: np.ndarray) -> np.ndarray:
    """float64 (K,): mean over the S sentences; zeros where a ref has none."""
    if len(scores) == 0:
        return np.zeros(scores.shape[1])
    return scores.mean(axis=0, dtype=np.float64)


def _last_argmax(values: np.ndarray) -> int:
    return len(values) - 1 - int(np.argmax(values[::-1]))
