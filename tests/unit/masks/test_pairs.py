"""The best matching, with pairs that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from ssc_core.masks.pairs import best_pairs

NO = -np.inf


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("shift", [-3, 0, 5])
def test_as_many_pairs_as_can_be_come_before_the_sum(size: float, shift: int) -> None:
    # 0 would rather have column 1, which is all that 1 can have
    values = (np.array([[0.0, 9.0, NO], [NO, 0.0, NO]]) + shift) * size
    assert best_pairs(values) == best_pairs(values, impossible=-1e6) == [(0, 0), (1, 1)]


def test_of_as_many_pairs_the_highest_sum() -> None:
    assert best_pairs(np.array([[5.0, 4.0], [5.0, 1.0]])) == [(0, 1), (1, 0)]
    assert best_pairs(np.array([[5.0], [6.0], [4.0]])) == [(1, 0)]


def test_where_nothing_can_be_there_are_no_pairs() -> None:
    assert best_pairs(np.full((2, 2), NO)) == best_pairs(np.zeros((0, 3))) == best_pairs(np.zeros((2, 0))) == []
