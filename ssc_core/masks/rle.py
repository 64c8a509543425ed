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
from ssc_core.masks.runs import Size, read_lengths
from ssc_core.pictures import MAX_PIXELS


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


def areas(rles: Sequence[bytes], size: Size, *, where: str = "") -> np.ndarray:
    """Foreground pixels, int64 (N,). Raises SscError as ``check`` does."""
    check(rles, size, where=where)
    return np.asarray(coco.area(_objects(rles, size)), dtype=np.int64)


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


def nearest(code: bytes, others: Sequence[bytes], size: Size) -> tuple[int, float] | None:
    """Place and IoU of the one of ``others`` with the highest IoU, the first of equal ones; None where there are none.

    Raises SscError for a malformed RLE.
    """
    if not len(others):
        return None
    found = ious([code], others, size)[0]
    place = int(found.argmax())
    return place, float(found[place])


def union(rles: Sequence[bytes], size: Size) -> bytes:
    """RLE of the pixels in any mask; an empty mask when there is none. Raises SscError for a malformed RLE."""
    check(rles, size)
    return coco.merge(_objects(rles, size))["counts"] if len(rles) else empty(size)


def empty(size: Size) -> bytes:
    """RLE of a mask without foreground."""
    _check_size(size)
    return coco.encode(np.zeros(size, dtype=np.uint8, order="F"))["counts"]


def check(rles: Sequence[bytes], size: Size, *, where: str = "") -> None:
    """Raise SscError, which begins with ``where``, unless every RLE is well formed and its runs cover ``size`` exactly.

    pycocotools trusts its input: runs that overshoot the mask crash it or read other memory.
    """
    _check_size(size, where=where)
    read_lengths(rles, size, where=where)


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
