"""Masks at another size.

A mask that is there: by nearest neighbour, with Pillow's pixels, as the published masks and ground truth have it. One
that a network predicts: its margins are brought to the size, and then the mask is taken. So outlines stay smooth, where
the pixels of a small mask would grow to blocks.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from ssc_core.masks.runs import Measure, Size


def resize_nearest(masks: np.ndarray, size: Size) -> np.ndarray:
    """Resize bool (..., H, W) to ``size`` (height, width): each new pixel is the old one that Pillow takes for it.

    OpenCV and torch's ``interpolate`` take others.
    """
    if masks.shape[-2:] == tuple(size):
        return masks
    rows, columns = (nearest_index(old, new) for old, new in zip(masks.shape[-2:], size, strict=True))
    return masks.take(columns, axis=-1).take(rows, axis=-2)


def masks_at(margins: np.ndarray, size: Size) -> np.ndarray:
    """Masks bool (..., H, W) of ``size`` (height, width), where a network's margins (foreground minus background logit,
    float32 (..., h, w)) are positive there: bilinear between the centres of their pixels."""
    if margins.shape[-2:] == tuple(size):
        return margins > 0
    flat = margins.reshape(-1, *margins.shape[-2:])
    found = [cv2.resize(one, tuple(size)[::-1], interpolation=cv2.INTER_LINEAR) > 0 for one in flat]
    return np.array(found, bool).reshape(*margins.shape[:-2], *size)


def taken_before(old: Size, new: Size) -> Measure:
    """The measure (see ``runs``) of what ``resize_nearest`` takes of a mask of size ``old``.

    An old pixel counts as often as new ones take it.
    """
    rows, columns = (np.bincount(nearest_index(o, n), minlength=o) for o, n in zip(old, new, strict=True))
    rows_before, columns_before = (np.concatenate([[0], np.cumsum(uses)]) for uses in (rows, columns))
    columns = np.append(columns, 0)  # the pixel after the last one is in no column

    def measure(pixels: np.ndarray) -> np.ndarray:
        column, row = np.divmod(pixels, old[0])
        return columns_before[column] * rows_before[-1] + columns[column] * rows_before[row]

    return measure


@lru_cache(maxsize=1024)
def nearest_index(old: int, new: int) -> np.ndarray:
    """The pixels of a row of ``old`` that Pillow takes when it is resized to ``new``, int32 (new,).

    Pillow itself says which: it adds up steps in floating point, so that a formula for the pixel under the new one's
    centre differs where that lies between two: at 99 of 480 from a COCO photo's 640.
    """
    row = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(row.resize((new, 1), Image.Resampling.NEAREST))[0]
