from __future__ import annotations

import numpy as np

from ssc_core.distinct import distinct


def test_the_same_object_is_one_and_an_equal_one_is_another() -> None:
    first, equal = np.zeros(2), np.zeros(2)
    different, of_each = distinct([first, equal, first, equal, equal])
    assert [one is expected for one, expected in zip(different, (first, equal), strict=True)] == [True, True]
    assert of_each == [0, 1, 0, 1, 1]
    assert distinct([]) == ([], [])
