"""Geometry of shifted windows: partition, shift masks and relative positions (Swin, Liu et al., ICCV 2021)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def to_windows(qkv: Tensor, window: int, heads: int) -> Tensor:
    """Cut (B, H, W, 3 C) into (3, B, windows, heads, window * window, C / heads), in one copy. H and W are multiples of
    ``window``."""
    batch, height, width, _ = qkv.shape
    qkv = qkv.reshape(batch, height // window, window, width // window, window, 3, heads, -1)
    return qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, batch, -1, heads, window * window, qkv.shape[-1])


def from_windows(parts: Tensor, window: int, height: int, width: int) -> Tensor:
    """Back again, with one of the three: (B, windows, heads, window * window, C / heads) to (B, height, width, C)."""
    parts = parts.unflatten(1, (height // window, width // window)).unflatten(4, (window, window))
    return parts.permute(0, 1, 4, 2, 5, 3, 6).reshape(parts.shape[0], height, width, -1)


def relative_position_index(window: int) -> Tensor:
    """For each pair of places in a window, the row of the bias table: int64 (window^2, window^2).

    Rows are ordered by the row offset, then the column offset, both from -(window - 1) to window - 1.
    """
    place = torch.arange(window)
    rows, columns = place.repeat_interleave(window), place.repeat(window)
    row_offset = rows[:, None] - rows[None, :] + window - 1
    column_offset = columns[:, None] - columns[None, :] + window - 1
    return row_offset * (2 * window - 1) + column_offset


APART = -1e4
"""Added to the logit of a place that must not be seen. Published Swin adds -100: e^-100 is a denormal number, by which
processors multiply up to 40 times as slowly; this leaves 0, and no sum of float32 can tell the two apart."""


@lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Additive attention mask after a cyclic shift: float32 (windows, window^2, window^2), 0 or ``APART``.

    The shift brings opposite borders of the picture together in one window; places from different sides of the seam
    must not see each other. ``height`` and ``width`` are padded to multiples of ``window``.
    """
    # The cache outlives any inference_mode block that happens to fill it, and training has to be able to use it.
    with torch.inference_mode(False):
        region = _bands(height, window, shift)[:, None] * 3 + _bands(width, window, shift)[None, :]
        grid = region.unflatten(1, (-1, window)).unflatten(0, (-1, window))  # (rows, window, columns, window)
        region = grid.transpose(1, 2).reshape(-1, window * window)
        apart = region[:, :, None] != region[:, None, :]
        return (apart * APART).to(device)


def _bands(length: int, window: int, shift: int) -> Tensor:
    """Three bands along one side: untouched windows, the last window before the seam, and what is behind the seam."""
    place = torch.arange(length)
    return (place >= length - window).long() + (place >= length - shift).long()
