"""COCO compressed run-length masks, through pycocotools, with foreign bytes checked before they reach its C code.

An RLE here is the ``counts`` bytes of the COCO format; its ``size`` (height, width) is kept beside it, as all masks of
one image share it. Runs go down the columns and start with background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.pictures import MAX_PIXELS

Size = tuple[int, int]
"""(height, width)."""


def encode(masks: np.ndarray) -> list[bytes]:
    """Encode bool (N, H, W) as N RLEs. H and W must be at least 1 where N is."""
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise ValueError(f"masks must be bool (N, H, W), not {masks.dtype} {masks.shape}")
    if len(masks) == 0:
        return []
    _check_size(masks.shape[1:])
    column_major = np.ascontiguousarray(masks.transpose(0, 2, 1)).view(np.uint8)
    return [rle["counts"] for rle in coco.encode(column_major.T)]


def decode(rles: Sequence[bytes], size: Size, *, where: str = "") -> np.ndarray:
    """Decode N RLEs of one image to bool (N, H, W), C-contiguous. Raises SscError as ``check`` does."""
    check(rles, size, where=where)
    if len(rles) == 0:
        return np.zeros((0, *size), dtype=bool)
    column_major = coco.decode(_objects(rles, size)).T
    return np.ascontiguousarray(column_major.transpose(0, 2, 1)).view(np.bool_)


def areas(rles: Sequence[bytes], size: Size) -> np.ndarray:
    """Foreground pixels, int64 (N,). Raises SscError for a malformed RLE."""
    check(rles, size)
    return np.asarray(coco.area(_objects(rles, size)), dtype=np.int64)


def foreground_runs(rle: bytes, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of foreground start and end (exclusive), int64 (R,) each: pixels counted down the columns.

    Raises SscError for a malformed RLE.
    """
    _check_size(size)
    lengths = _checked_runs(rle, size, "RLE")
    ends = np.cumsum(lengths)
    return (ends - lengths)[1::2], ends[1::2]


def boxes(rles: Sequence[bytes], size: Size) -> np.ndarray:
    """Boxes around the foreground as COCO has them, x, y, width, height: float64 (N, 4); zeros for an empty mask.

    Raises SscError for a malformed RLE.
    """
    check(rles, size)
    if len(rles) == 0:
        return np.zeros((0, 4))
    return np.asarray(coco.toBbox(_objects(rles, size)), dtype=np.float64)


def ious(rows: Sequence[bytes], columns: Sequence[bytes], size: Size) -> np.ndarray:
    """Intersection over union of every pair, float64 (N, M); 0 where the union is empty.

    Raises SscError for a malformed RLE.
    """
    check(rows, size)
    check(columns, size)
    if len(rows) == 0 or len(columns) == 0:
        return np.zeros((len(rows), len(columns)))
    return np.asarray(coco.iou(_objects(rows, size), _objects(columns, size), [0] * len(columns)))


def union(rles: Sequence[bytes], size: Size) -> bytes:
    """RLE of the pixels in any mask; an empty mask when there is none. Raises SscError for a malformed RLE."""
    return _merge(rles, size, intersect=False)


def intersection(rles: Sequence[bytes], size: Size) -> bytes:
    """RLE of the pixels in all masks; an empty mask when there is none. Raises SscError for a malformed RLE."""
    return _merge(rles, size, intersect=True)


def empty(size: Size) -> bytes:
    """RLE of a mask without foreground."""
    _check_size(size)
    return coco.encode(np.zeros(size, dtype=np.uint8, order="F"))["counts"]


def check(rles: Sequence[bytes], size: Size, *, where: str = "") -> None:
    """Raise SscError, which begins with ``where``, unless every RLE is well formed and its runs cover ``size`` exactly.

    pycocotools trusts its input: runs that overshoot the mask crash it or read other memory.
    """
    _check_size(size, where=where)
    prefix = f"{where}: " if where else ""
    for index, rle in enumerate(rles):
        _checked_runs(rle, size, f"{prefix}RLE {index}")


def _checked_runs(rle: bytes, size: Size, name: str) -> np.ndarray:
    """Run lengths, int64 (R,). Raises SscError unless they are well formed and cover ``size`` exactly."""
    pixels = size[0] * size[1]
    runs = _run_lengths(rle)
    if runs is None:
        raise SscError(f"{name} is malformed: its bytes are not COCO compressed run lengths")
    if runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise SscError(
            f"{name} does not fit its image: its runs cover {runs.sum()} pixels, not {size[0]} x {size[1]} = {pixels}"
        )
    return runs


def _run_lengths(rle: bytes) -> np.ndarray | None:
    """Run lengths, int64 (R,), without trusting the bytes; None when they are no number sequence.

    The format (pycocotools' maskApi.c, ``rleFrString``): a number is a group of characters 48 + x, x holding five bits
    (lowest first), 32 = more follow, and in the last one 16 = negative; from the fourth number on it is the difference
    to the number two before.
    """
    digits = np.frombuffer(rle, dtype=np.uint8) - np.uint8(48)
    if len(digits) == 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    last = np.flatnonzero(digits & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > 7:
        return None
    shifts = 5 * (np.arange(len(digits)) - np.repeat(first, lengths))
    runs = np.add.reduceat((digits & 31).astype(np.int64) << shifts, first)
    runs -= np.where(digits[last] & 16, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _merge(rles: Sequence[bytes], size: Size, *, intersect: bool) -> bytes:
    check(rles, size)
    if len(rles) == 0:
        return empty(size)
    return coco.merge(_objects(rles, size), intersect=intersect)["counts"]


def _check_size(size: Sequence[int], *, where: str = "") -> None:
    height, width = size
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise SscError(
            f"{where or 'mask'}: a size of {height} x {width} pixels; both sides must be at least 1, and {MAX_PIXELS} "
            "pixels is the most"
        )


def _objects(rles: Sequence[bytes], size: Size) -> list[dict[str, Any]]:
    height, width = int(size[0]), int(size[1])
    return [{"size": [height, width], "counts": rle} for rle in rles]
