from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from ssc_core.masks.choice import NONE
from ssc_core.select.assign import assign_jointly


def assign(values, candidates=None, allowed=None) -> list[int]:
    values = [np.array(v, dtype=float) for v in values]
    candidates = candidates or [list(range(len(v))) for v in values]
    allowed = allowed or [[True] * len(v) for v in values]
    return assign_jointly(
        values, [np.array(c, dtype=int) for c in candidates], [np.array(a, dtype=bool) for a in allowed]
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([[3, 1], [1, 3]], [0, 1], id="no conflict: each its best"),
        pytest.param([[5, 4], [5, 1]], [1, 0], id="conflict: who loses least gives way"),
        pytest.param([[5, 1], [5, 4]], [0, 1], id="and the other way round"),
        pytest.param([[9, 8, 0], [9, 0, 8], [9, 1, 1]], [1, 2, 0], id="three"),
        pytest.param([[0, 2e6], [0, 1e6]], [1, 0], id="weights of scores may make costs of any size"),
        pytest.param([], [], id="no refs"),
        pytest.param([[]], [NONE], id="no candidates"),
    ],
)
def test_assignment(values, expected):
    assert assign(values) == expected


def test_rows_are_instances_and_answers_are_indices_into_each_refs_own_candidates():
    # instance 7 is the best of both; ref 1 has it second, ref 2 first
    assert assign([[1, 5], [5, 4.5]], candidates=[[2, 7], [7, 9]]) == [1, 1]


def test_a_shared_offset_of_a_refs_scores_changes_nothing():
    assert assign([[5, 4], [5, 1]]) == assign([[105, 104], [5, 1]])


def test_with_more_refs_than_candidates_those_left_over_take_their_own_best():
    chosen = assign([[6, 1], [5, 1], [1, 6]])
    assert chosen == [0, 0, 1]
    assert assign([[5], [5], [3, 3]], candidates=[[7], [8], [7, 8]]) == [0, 0, 1], "of equal ones the last, as alone"


def test_what_is_not_allowed_is_never_taken():
    assert assign([[5, 4], [5, 1]], allowed=[[True, True], [False, True]]) == [0, 1]
    assert assign([[5, 4]], allowed=[[False, False]]) == [NONE]
    assert assign([[5], [5]], candidates=[[3], [3]], allowed=[[True], [True]]) == [0, 0]


def test_the_sum_is_the_best_there_is():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 4)) * 3
    chosen = assign(list(values))
    assert len(set(chosen)) == 3
    log_p = values - np.log(np.exp(values).sum(1, keepdims=True))
    total = sum(log_p[r, c] for r, c in enumerate(chosen))
    assert total == pytest.approx(max(sum(log_p[r, c] for r, c in enumerate(p)) for p in permutations(range(4), 3)))
