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

CLIPPED = "polygon partly outside the photo, clipped"
DEGENERATE = "polygon with fewer than three points, dropped"
LIKE_JPEG = "mask with the faint noise of a JPEG, which counts as the object; save masks as PNG from the start"
EMPTY = "segmentation without a pixel, taken as no ground truth"
WHOLE = "mask of the whole photo; is the background another colour than black?"

MAX_PARTS, MAX_OUTLINE = 5000, 2**21
"""Parts of an object; pixels along its edges, of which a photo of 640 x 480 has 300,000."""

_LARGEST_SHARE, _SMALLEST_PHOTO = 1.5, 8
"""Shares may lie a little outside; in a photo of a few pixels, small numbers can be pixels."""
_TOLERANCE = 1.0
"""Pixels that a polygon may lie outside before it is clipped: published annotations round up to the border."""


def segmentation_to_rle(
    segmentation: Segmentation, height: int, width: int, *, overlap_hole: bool, notes: Counter[str]
) -> bytes | None:
    """Compressed COCO RLE of a segmentation, or None when there is no ground truth.

    Several parts, polygons or run lengths in a list, make their union. overlap_hole: pixels that more than one covers
    become background, a defect of the published evaluation. notes: counts of what was mended or looks wrong, by this
    module's constants.
    Raises SscError when the segmentation cannot be what it claims to be.
    """
    if segmentation is None or (isinstance(segmentation, list) and not segmentation):
        return None
    if isinstance(segmentation, Path):
        mask, noisy = read_mask_png(segmentation, (height, width))
        notes[LIKE_JPEG] += noisy
        notes[WHOLE] += bool(mask.all())
        code = rle.encode(mask[None])[0]
    elif isinstance(segmentation, dict):
        code = _checked_rle(segmentation, height, width)
    else:
        if len(segmentation) > MAX_PARTS:
            raise SscError(f"it has {len(segmentation)} parts; {MAX_PARTS} are the most")
        if all(isinstance(part, dict) for part in segmentation):  # RLE inside a list, as RefClef and RRSIS-D have it
            codes = [_checked_rle(part, height, width) for part in segmentation]
        else:
            codes = _codes_of_polygons(segmentation, height, width, notes)
        code = _joined(codes, (height, width), overlap_hole)
    if rle.areas([code], (height, width))[0] == 0:
        notes[EMPTY] += 1
        return None
    return code


def _joined(codes: list[bytes], size: tuple[int, int], overlap_hole: bool) -> bytes:
    """Union of the parts of an object; overlap_hole: see ``segmentation_to_rle``."""
    if not overlap_hole or len(codes) < 2:
        return rle.union(codes, size)
    covered, twice = np.zeros(size, bool), np.zeros(size, bool)
    for code in codes:  # one by one: all at once would take as many masks of memory
        mask = rle.decode([code], size)[0]
        twice |= covered & mask
        covered |= mask
    return rle.encode((covered & ~twice)[None])[0]


def _codes_of_polygons(polygons: list[Any], height: int, width: int, notes: Counter[str]) -> list[bytes]:
    points = [_points(polygon) for polygon in polygons]
    check_units(points, height, width)
    kept = [clean for p in points if (clean := _clean_polygon(p, height, width, notes)) is not None]
    # pycocotools walks along every edge, in steps of a fifth of a pixel, and keeps them all in memory.
    steps = sum(np.abs(p - np.roll(p, 1, axis=0)).max(axis=1).sum() for p in kept)
    if steps > MAX_OUTLINE:
        raise SscError(f"its outline is {steps:.0f} pixels long, {MAX_OUTLINE} are the most: no object has that")
    parts = coco_mask.frPyObjects([p.ravel().tolist() for p in kept], height, width) if kept else []
    return [part["counts"] for part in parts]


def _points(polygon: Any) -> np.ndarray:
    """float64 (N, 2), x and y."""
    try:
        flat = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SscError("a polygon is no list of numbers") from error
    if flat.ndim != 1 or flat.size % 2 or not np.isfinite(flat).all():
        raise SscError("a polygon is no list x0, y0, x1, y1, ... of finite numbers")
    return flat.reshape(-1, 2)


def check_units(polygons: list[np.ndarray], height: int, width: int) -> None:
    """Raise SscError for an object that would be a single pixel in the corner: its numbers are no pixels."""
    largest = max((points.max(initial=0) for points in polygons if len(points) >= 3), default=np.inf)
    if 0 < largest <= _LARGEST_SHARE and min(height, width) >= _SMALLEST_PHOTO:
        raise SscError(
            "the numbers of its polygons are all between 0 and 1, as shares of the photo; pixels are meant, so "
            f"multiply x by {width} and y by {height}"
        )


def _clean_polygon(points: np.ndarray, height: int, width: int, notes: Counter[str]) -> np.ndarray | None:
    """Points float64 (N, 2) as x, y within the photo; None when nothing is left of the polygon."""
    if len(points) < 3:
        notes[DEGENERATE] += 1
        return None
    limits = np.array([width, height])
    if (points < -_TOLERANCE).any() or (points > limits + _TOLERANCE).any():
        notes[CLIPPED] += 1
        points = clip_polygon(points, limits)
    return points if len(points) >= 3 else None


def clip_polygon(points: np.ndarray, limits: np.ndarray) -> np.ndarray:
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
        code = counts if isinstance(counts, bytes) else counts.encode("utf-8", "surrogatepass")
        rle.check([code], (height, width))
        return code
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        raise SscError("the run-length mask has no valid 'counts'")
    if sum(counts) != height * width:
        raise SscError(f"the runs of the run-length mask cover {sum(counts)} pixels, its photo has {height * width}")
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
