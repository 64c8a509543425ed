"""Masks as polygons and back, for formats that hold outlines only.

A ring goes through the centres of the border pixels of a part, as OpenCV traces it, and a reader that fills it with its
border (``cv2.fillPoly``, as these formats' own tools do) gets the part back to the pixel. Holes become part of the one
ring by a bridge, a line there and back, which lies on the part itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import Delaunay, cKDTree

INSIDE = 0.25
"""Added to a pixel's number where it is written: readers that round and readers that cut off both get that pixel."""

_FEWEST = 3
"""Points that readers expect of a polygon."""
_FEW = 24
"""Rings of which each is compared with each, sooner than they are triangulated."""


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
    """One ring through all rings, int64 (N, 2), by bridges that are as short as can be: a minimum spanning tree."""
    bridges = _bridges(parts)
    pieces: list[np.ndarray] = []
    under_way = [_around(parts[0], 0, bridges[0])]
    while under_way:
        for step in under_way[-1]:
            if isinstance(step, np.ndarray):
                pieces.append(step)
            else:
                under_way.append(_around(parts[step.ring], step.end, bridges[step.ring]))
                break
        else:
            under_way.pop()
    return np.concatenate(pieces)[:-1]  # a ring does not say where it began again


def filled(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """bool (H, W): the pixels in any of the rings (N, 2) and on their borders; within one ring, even-odd."""
    mask = np.zeros(size, np.uint8)
    for ring in polygons:
        cv2.fillPoly(mask, [np.asarray(ring, np.int32)], 1)
    return mask.astype(bool)


@dataclass(frozen=True)
class _Bridge:
    """From point ``start`` of one ring to point ``end`` of another, ``ring``."""

    start: int
    ring: int
    end: int


def _around(ring: np.ndarray, turn: int, bridges: list[_Bridge]) -> Iterator[np.ndarray | _Bridge]:
    """The points of a ring from ``turn`` on, around and back to it; each bridge comes behind the point where it starts,
    which comes again behind the bridge."""
    ring, at = np.roll(ring, -turn, axis=0), 0
    for bridge in sorted(bridges, key=lambda one: (one.start - turn) % len(ring)):
        start = (bridge.start - turn) % len(ring)
        yield ring[at : start + 1]
        yield bridge
        at = start
    yield ring[at:]
    yield ring[:1]


def _bridges(parts: Sequence[np.ndarray]) -> list[list[_Bridge]]:
    """Of each ring, the bridges to those that are joined to the first one by it."""
    found: list[list[_Bridge]] = [[] for _ in parts]
    if len(parts) == 1:
        return found
    begin = np.cumsum([0, *map(len, parts)])
    points = np.concatenate(parts)
    one, other = _nearest(parts, begin) if len(parts) <= _FEW else _neighbours(points)
    squares = ((points[one] - points[other]) ** 2).sum(axis=1)
    ring_of = np.repeat(np.arange(len(parts)), np.diff(begin))
    across = ring_of[one] != ring_of[other]
    one, other, squares = one[across], other[across], squares[across]
    low, high = np.sort([ring_of[one], ring_of[other]], axis=0)
    order = np.lexsort((squares, high, low))
    order = order[np.unique(low[order] * len(parts) + high[order], return_index=True)[1]]  # the shortest of two rings
    # to SciPy, 0 is no edge
    tree = minimum_spanning_tree(csr_array((squares[order] + 1, (low[order], high[order])), [len(parts)] * 2))
    ends = {
        (int(ring_of[a]), int(ring_of[b])): (int(a - begin[ring_of[a]]), int(b - begin[ring_of[b]]))
        for i in order
        for a, b in ((one[i], other[i]), (other[i], one[i]))
    }
    joined, parents = breadth_first_order(tree, 0, directed=False)
    for ring in map(int, joined[1:]):
        start, end = ends[int(parents[ring]), ring]
        found[parents[ring]].append(_Bridge(start, ring, end))
    return found


def _nearest(parts: Sequence[np.ndarray], begin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each two rings the nearest two points, as numbers among the points of all, where those of each ``begin``."""
    trees, pairs = [cKDTree(part) for part in parts], []
    for i, j in combinations(range(len(parts)), 2):
        distances, places = trees[i].query(parts[j])
        best = distances.argmin()
        pairs.append((begin[i] + places[best], begin[j] + best))
    one, other = np.array(pairs).T
    return one, other


def _neighbours(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of points (N, 2), as numbers: neighbours in their Delaunay triangulation, and equal points.

    Of any two sets that the points are parted into, the nearest two are among them: no point lies in the circle around
    such a pair.
    """
    places, first, place = np.unique(points, axis=0, return_index=True, return_inverse=True)
    far = 8 * (np.ptp(places, axis=0).max() + 1) * np.array([[-1, -1], [1, -1], [0, 1]])  # never all on one line
    triangles = Delaunay(np.concatenate([places, places[:1] + far]))
    sides = [triangles.simplices[:, [i, (i + 1) % 3]] for i in range(3)]
    pairs = np.concatenate([*sides, triangles.coplanar[:, [0, 2]]])
    pairs = first[pairs[(pairs < len(places)).all(axis=1)]]
    return (
        np.concatenate([pairs[:, 0], np.arange(len(points))]),
        np.concatenate([pairs[:, 1], first[place.reshape(-1)]]),
    )


def _short(ring: np.ndarray) -> np.ndarray:
    """The ring without points in the middle of a straight line."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    corners = ring[(before != after).any(axis=1)]
    return np.resize(corners, (max(len(corners), _FEWEST), 2)) if len(corners) else np.resize(ring[:1], (_FEWEST, 2))
