from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.evaluate.resize import resize_nearest


def test_literal() -> None:
    assert resize_nearest(np.array([[True, False]]), (2, 4)).tolist() == [[True, True, False, False]] * 2
    assert resize_nearest(np.array([[True, False, False]]), (1, 1)).tolist() == [[False]]


@pytest.mark.parametrize("size", [(480, 480), (100, 33), (7, 250), (37, 53)])
def test_agrees_with_pillow(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((37, 53)) < 0.5
    expected = np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(resize_nearest(mask, size), expected)
