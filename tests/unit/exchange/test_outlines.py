"""Masks as rings: holes and parts are joined by the shortest bridges there are, in the time of a triangulation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from ssc_core.exchange.outlines import bridged, filled, rings
from tests.patience import grows_linearly


def square(x: int, y: int, side: int) -> np.ndarray:
    """Its four corners."""
    return np.array([[x, y], [x, y + side], [x + side, y + side], [x + side, y]])


def length(ring: np.ndarray) -> float:
    return float(np.hypot(*(np.roll(ring, -1, axis=0) - ring).T).sum())


def holed(side: int, every: int) -> np.ndarray:
    """A square with a hole of a pixel in every so many rows and columns, bool (side, side)."""
    mask = np.ones((side, side), bool)
    mask[2:-2:every, 2:-2:every] = False
    return mask


def test_a_hole_is_reached_where_it_is_nearest() -> None:
    outer, hole = square(0, 0, 10), square(7, 6, 1)
    ring = bridged([outer, hole])
    assert ring.tolist() == [
        *([0, 0], [0, 10], [10, 10]),
        *([8, 7], [8, 6], [7, 6], [7, 7], [8, 7]),
        *([10, 10], [10, 0]),
    ]


@pytest.mark.parametrize("places", [(0, 20, 3, 9), range(0, 90, 3)])
def test_parts_on_a_line_are_joined_one_to_the_next(places: Sequence[int]) -> None:
    dots = [np.full((3, 2), [x, 4]) for x in places]
    assert length(bridged(dots)) == 2 * max(places)
    assert {tuple(point) for point in bridged(dots)} == {(x, 4) for x in places}


def test_rings_that_meet_in_a_point_need_no_bridge() -> None:
    parts = [square(0, 0, 4), square(4, 4, 4), square(8, 8, 2)]
    assert length(bridged(parts)) == sum(map(length, parts))


def test_one_ring_is_itself() -> None:
    np.testing.assert_array_equal(bridged([square(1, 2, 3)]), square(1, 2, 3))


@pytest.mark.parametrize("count", [2, 8, 24, 25, 60])
def test_bridges_are_a_minimum_spanning_tree(count: int) -> None:
    parts = [np.unique(part, axis=0) for part in np.random.default_rng(count).integers(0, 60, (count, 5, 2))]
    distances = np.zeros((count, count))
    for i, j in combinations(range(count), 2):
        distances[i, j] = cdist(parts[i], parts[j]).min() + 1  # 0 would be no edge
    shortest = minimum_spanning_tree(distances).sum() - (count - 1)
    assert length(bridged(parts)) == pytest.approx(sum(map(length, parts)) + 2 * shortest)


@pytest.mark.parametrize("every", [2, 3, 5])
def test_a_mask_of_many_holes_comes_back(every: int) -> None:
    mask = holed(61, every)
    (ring,) = rings(mask)
    np.testing.assert_array_equal(filled([ring], mask.shape), mask)


def test_a_mask_of_ten_times_as_many_holes_takes_ten_times_as_long() -> None:
    assert grows_linearly(lambda size: rings(holed(round((16 * size) ** 0.5), 4)), 2000)
