"""Nearest-neighbour resizing of masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ssc_core.masks import rle


def resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bool (H, W) to ``size`` (height, width): each new pixel takes the old pixel under its centre.

    That is Pillow's and torchvision's nearest on images; OpenCV's and torch's ``interpolate`` take the corner.
    """
    if mask.shape == tuple(size):
        return mask
    rows, columns = (_centres(new, old) for new, old in zip(size, mask.shape, strict=True))
    return mask.take(columns, axis=1).take(rows, axis=0)


def resized_areas(rles: Sequence[bytes], old: rle.Size, new: rle.Size) -> np.ndarray:
    """Pixels of ``resize_nearest(mask, new)`` for each RLE of size ``old``, int64 (N,), without making any mask.

    An old pixel counts as often as new ones take it. Raises SscError for a malformed RLE.
    """
    runs = (rle.foreground_runs(code, old) for code in rles)
    counts = [(_taken_before(ends, old, new) - _taken_before(starts, old, new)).sum() for starts, ends in runs]
    return np.array(counts, np.int64)


def _taken_before(pixels: np.ndarray, old: rle.Size, new: rle.Size) -> np.ndarray:
    """New pixels that take an old one of those before each of ``pixels``, counted down the columns."""
    rows, columns = (_uses(n, o) for n, o in zip(new, old, strict=True))
    rows_before, columns_before = (np.concatenate([[0], np.cumsum(uses)]) for uses in (rows, columns))
    column, row = np.divmod(pixels, old[0])
    in_column = np.append(columns, 0)[column]  # the pixel after the last one is in no column
    return columns_before[column] * rows_before[-1] + in_column * rows_before[row]


@lru_cache(maxsize=256)
def _uses(new: int, old: int) -> np.ndarray:
    """int64 (old,): how many new pixels take each old one, along one side."""
    return np.bincount(_centres(new, old), minlength=old)


def _centres(new: int, old: int) -> np.ndarray:
    return (2 * np.arange(new) + 1) * old // (2 * new)
