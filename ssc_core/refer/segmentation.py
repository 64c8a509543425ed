"""Annotated segmentations (COCO polygons, COCO RLE, PNG) to one compressed run-length code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.refer.images import read_mask_png
from ssc_core.refer.records import Segmentation

CLIPPED = "polygons reached outside their photo and were clipped"
DEGENERATE = "polygons with fewer than three points were dropped"
LIKE_JPEG = "masks have the faint noise of a JPEG, which counts as the object; save masks as PNG from the start"
EMPTY = "segmentations cover no pixel and count as no ground truth"

_TOLERANCE = 1.0
"""Pixels that a polygon may lie outside before it is clipped: published annotations round up to the border."""


def segmentation_to_rle(
    segmentation: Segmentation, height: int, width: int, *, overlap_hole: bool, notes: Counter[str]
) -> bytes | None:
    """Compressed COCO RLE of a segmentation, or None when there is no ground truth.

    Several polygons make their union. overlap_hole: pixels that more than one polygon covers become background, a
    defect of the published evaluation. notes: counts of what was mended or looks wrong, by this module's constants.
    Raises SscError when the segmentation cannot be what it claims to be.
    """
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    if isinstance(segmentation, Path):
        mask, noisy = read_mask_png(segmentation, (height, width))
        notes[LIKE_JPEG] += noisy
        code = rle.encode(mask[None])[0]
    elif isinstance(segmentation, dict):
        code = _checked_rle(segmentation, height, width)
    else:
        code = _rle_of_polygons(segmentation, height, width, overlap_hole, notes)
    if rle.areas([code], (height, width))[0] == 0:
        notes[EMPTY] += 1
        return None
    return code


def _rle_of_polygons(polygons: list[Any], height: int, width: int, overlap_hole: bool, notes: Counter[str]) -> bytes:
    points = [clean for p in polygons if (clean := _clean_polygon(p, height, width, notes)) is not None]
    if not points:
        return rle.empty((height, width))
    parts = coco_mask.frPyObjects([p.ravel().tolist() for p in points], height, width)
    codes = [part["counts"] for part in parts]
    if overlap_hole and len(codes) > 1:
        covered_once = rle.decode(codes, (height, width)).sum(axis=0) == 1
        return rle.encode(covered_once[None])[0]
    return rle.union(codes, (height, width))


def _clean_polygon(polygon: Any, height: int, width: int, notes: Counter[str]) -> np.ndarray | None:
    """Points float64 (N, 2) as x, y within the photo; None when nothing is left of the polygon."""
    try:
        flat = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SscError("a polygon is no list of numbers") from error
    if flat.ndim != 1 or flat.size % 2 or not np.isfinite(flat).all():
        raise SscError("a polygon is no list x0, y0, x1, y1, ... of finite numbers")
    points = flat.reshape(-1, 2)
    if len(points) < 3:
        notes[DEGENERATE] += 1
        return None
    limits = np.array([width, height])
    if (points < -_TOLERANCE).any() or (points > limits + _TOLERANCE).any():
        notes[CLIPPED] += 1
        points = _clip_polygon(points, limits)
    return points if len(points) >= 3 else None


def _clip_polygon(points: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Cut a polygon (N, 2) to the box from (0, 0) to ``limits``: Sutherland & Hodgman, CACM 17(1), 1974."""
    for axis in (0, 1):
        for sign, bound in ((1.0, 0.0), (-1.0, -float(limits[axis]))):
            points = _clip_half_plane(points, sign * points[:, axis] - bound)
    return points


def _clip_half_plane(points: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Keep the side where the signed distance ``inside`` (N,) is not negative; cut the edges that cross."""
    kept: list[np.ndarray] = []
    for i in range(len(points)):
        before, here = inside[i - 1], inside[i]
        if (before < 0) != (here < 0):
            share = before / (before - here)
            kept.append(points[i - 1] + share * (points[i] - points[i - 1]))
        if here >= 0:
            kept.append(points[i])
    return np.array(kept).reshape(-1, 2)


def _checked_rle(segmentation: dict[str, Any], height: int, width: int) -> bytes:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        raise SscError(f"the run-length mask has the size {size!r:.40}, its photo [{height}, {width}]")
    if isinstance(counts, str | bytes):
        code = counts if isinstance(counts, bytes) else counts.encode("utf-8")
        rle.check([code], (height, width))
        return code
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        raise SscError("the run-length mask has no valid 'counts'")
    if sum(counts) != height * width:
        raise SscError(f"the runs of the run-length mask cover {sum(counts)} pixels, its photo has {height * width}")
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
