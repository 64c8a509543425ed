"""Joint choice over the refs of an image: two refs name two objects, so they take two candidates. Not of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from ssc_core.masks.choice import NONE
from ssc_core.masks.pairs import best_pairs

_IMPOSSIBLE = -1e6
"""Of a ref and a candidate that is not its own, beside log-probabilities."""


def assign_jointly(
    values: Sequence[np.ndarray], candidates: Sequence[np.ndarray], allowed: Sequence[np.ndarray]
) -> list[int]:
    """Choose a candidate for each of the R refs of an image, no instance twice where that is possible.

    values: (K_r,) per ref, its mean scores (cosine times 100, so that they are logits at CLIP's temperature of 1/100);
    candidates: int (K_r,), the instances that they belong to; allowed: bool (K_r,), which may be chosen. The assignment
    has the highest sum of log-softmax values (Kuhn-Munkres). A ref that the others leave nothing takes its own best,
    so that it fares no worse than alone. Returns indices into each ref's candidates, ``NONE`` where none is allowed.
    """
    instances = np.unique(np.concatenate([*candidates, np.zeros(0, dtype=np.int64)]))
    table = np.full((len(values), len(instances)), -np.inf)
    for line, value, own, may in zip(table, values, candidates, allowed, strict=True):
        if may.any():
            line[np.searchsorted(instances, own[may])] = log_softmax(value[may])
    chosen = [_own_best(value, may) for value, may in zip(values, allowed, strict=True)]
    for ref, column in best_pairs(table, impossible=_IMPOSSIBLE):
        chosen[ref] = int(np.flatnonzero(candidates[ref] == instances[column])[-1])
    return chosen


def _own_best(values: np.ndarray, allowed: np.ndarray) -> int:
    among = np.flatnonzero(allowed)
    return int(among[np.flatnonzero(values[among] == values[among].max())[-1]]) if len(among) else NONE
