"""Nearest-neighbour resizing of masks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bool (H, W) to ``size`` (height, width): each new pixel takes the old pixel under its centre.

    That is Pillow's and torchvision's nearest on images; OpenCV's and torch's ``interpolate`` take the corner.
    """
    if mask.shape == tuple(size):
        return mask
    rows, columns = (_centres(new, old) for new, old in zip(size, mask.shape, strict=True))
    return mask.take(columns, axis=1).take(rows, axis=0)


def resized_count(mask: np.ndarray, size: tuple[int, int]) -> int:
    """Pixels of ``resize_nearest(mask, size)`` without making it: an old pixel counts as often as new ones take it."""
    rows, columns = (_uses(new, old) for new, old in zip(size, mask.shape, strict=True))
    # whole numbers below 2 ** 24, so exact in float32
    return round(float(rows @ (mask.astype(np.float32) @ columns)))


@lru_cache(maxsize=256)
def _uses(new: int, old: int) -> np.ndarray:
    """float32 (old,): how many new pixels take each old one, along one side."""
    return np.bincount(_centres(new, old), minlength=old).astype(np.float32)


def _centres(new: int, old: int) -> np.ndarray:
    return (2 * np.arange(new) + 1) * old // (2 * new)
