"""Who gets what, where each may be given once: refs of an image, and the instances that they may be."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def best_pairs(values: np.ndarray, *, impossible: float = 0.0) -> list[tuple[int, int]]:
    """Pairs (row, column) of a maximum matching with the highest sum (Kuhn-Munkres).

    values: float (R, C), of any size; -inf marks pairs that cannot be. impossible: what such a pair counts at most,
    which decides nothing but how sums round, and so between equal ones.
    """
    possible = np.isfinite(values)
    if not possible.any():
        return []
    most, low, high = min(values.shape), values[possible].min(), values[possible].max()
    # One impossible pair costs more than everything else together can gain, so as many as can be are possible.
    worst = min(impossible, -2.0 * most - 1.0, low - most * (high - low) - 1.0)
    pairs = zip(*linear_sum_assignment(np.where(possible, values, worst), maximize=True), strict=True)
    return [(int(r), int(c)) for r, c in pairs if possible[r, c]]
