"""Masks as polygons and back, for formats that hold outlines only.

A ring goes through the centres of the border pixels of a part, as OpenCV traces it, and a reader that fills it with its
border (``cv2.fillPoly``, as these formats' own tools do) gets the part back to the pixel. Holes become part of the one
ring by a bridge, a line there and back, which lies on the part itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial import cKDTree

INSIDE = 0.25
"""Added to a pixel's number where it is written: readers that round and readers that cut off both get that pixel."""

_FEWEST = 3
"""Points that readers expect of a polygon."""


def rings(mask: np.ndarray) -> list[np.ndarray]:
    """A ring per part of a mask, bool (H, W): int64 (N, 2), x and y of pixels, N at least 3, holes bridged.

    Pixels that touch by a corner are of one part.
    """
    contours, links = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return []
    points = [contour.reshape(-1, 2).astype(np.int64) for contour in contours]
    parents = links[0, :, 3]
    found = []
    for part in np.flatnonzero(parents < 0):
        holes = [points[hole] for hole in np.flatnonzero(parents == part)]
        found.append(bridged([points[part], *holes]))
    return [_short(ring) for ring in found]


def bridged(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One ring through all rings (N, 2), joined where they are nearest to each other."""
    ring, left = parts[0], list(parts[1:])
    nearest = [_nearest(ring, other) for other in left]
    while left:
        index = int(np.argmin([distance for distance, _, _ in nearest]))
        other, (_, start, end) = left.pop(index), nearest.pop(index)
        at = int(np.flatnonzero((ring == start).all(axis=1))[0])
        turn = int(np.flatnonzero((other == end).all(axis=1))[0])
        there = np.roll(other, -turn, axis=0)
        ring = np.concatenate([ring[: at + 1], there, there[:1], ring[at:]])
        nearest = [
            min(known, _nearest(other, rest), key=lambda one: one[0]) for known, rest in zip(nearest, left, strict=True)
        ]
    return ring


def filled(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """bool (H, W): the pixels in any of the rings (N, 2) and on their borders; within one ring, even-odd."""
    mask = np.zeros(size, np.uint8)
    for ring in polygons:
        cv2.fillPoly(mask, [np.asarray(ring, np.int32)], 1)
    return mask.astype(bool)


def _nearest(one: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Distance of two rings, and the point of each where they are nearest."""
    distances, places = cKDTree(one).query(other)
    best = int(np.argmin(distances))
    return float(distances[best]), one[places[best]], other[best]


def _short(ring: np.ndarray) -> np.ndarray:
    """The ring without points in the middle of a straight line."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    corners = ring[(before != after).any(axis=1)]
    return np.resize(corners, (max(len(corners), _FEWEST), 2)) if len(corners) else np.resize(ring[:1], (_FEWEST, 2))
