from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.evaluate.resize import resize_nearest, resized_areas
from ssc_core.masks.rle import encode


def test_literal() -> None:
    assert resize_nearest(np.array([[True, False]]), (2, 4)).tolist() == [[True, True, False, False]] * 2
    assert resize_nearest(np.array([[True, False, False]]), (1, 1)).tolist() == [[False]]


@pytest.mark.parametrize("size", [(480, 480), (100, 33), (7, 250), (37, 53)])
def test_agrees_with_pillow(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((37, 53)) < 0.5
    expected = np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(resize_nearest(mask, size), expected)


@pytest.mark.parametrize("old", [(37, 53), (640, 427), (1, 900)])
def test_count_is_that_of_the_resized_mask(old: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(old) < 0.7
    masks = np.stack([mask, np.ones(old, bool), np.zeros(old, bool)])
    expected = [np.count_nonzero(resize_nearest(one, (480, 480))) for one in masks]
    assert resized_areas(encode(masks), old, (480, 480)).tolist() == expected
    assert expected[1:] == [480 * 480, 0]
