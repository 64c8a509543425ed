from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.masks.resize import nearest_index, resize_nearest, taken_before
from ssc_core.masks.rle import encode
from ssc_core.masks.runs import foreground

PHOTOS = [(480, 640), (640, 480), (427, 640), (640, 425), (375, 500), (333, 500), (320, 320), (512, 384), (612, 612)]
"""Heights and widths of COCO photos."""

Size = tuple[int, int]


def by_pillow(mask: np.ndarray, size: Size) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def test_literal() -> None:
    assert resize_nearest(np.array([[True, False]]), (2, 4)).tolist() == [[True, True, False, False]] * 2
    assert resize_nearest(np.array([[True, False, False]]), (1, 1)).tolist() == [[False]]


def test_every_pixel_of_the_published_size_is_pillows() -> None:
    assert nearest_index(640, 480)[:6].tolist() == [0, 2, 3, 4, 5, 7]  # (4 + 0.5) * 640 / 480 is 6
    formula = (2 * np.arange(480) + 1) * 640 // (2 * 480)
    assert np.count_nonzero(nearest_index(640, 480) != formula) == 99  # where a centre lies between two pixels


@pytest.mark.parametrize("photo", [*PHOTOS, (37, 53), (1024, 128)])
@pytest.mark.parametrize("side", [480, 96, 112])
def test_agrees_with_pillow_down_and_up(photo: Size, side: int) -> None:
    masks = np.random.default_rng(0).random((2, *photo)) < 0.5
    down = resize_nearest(masks, (side, side))
    np.testing.assert_array_equal(down, [by_pillow(mask, (side, side)) for mask in masks])
    np.testing.assert_array_equal(resize_nearest(down[0], photo), by_pillow(down[0], photo))


@pytest.mark.parametrize("photo", [*PHOTOS, (37, 53), (1, 900)])
def test_count_is_that_of_the_resized_mask(photo: Size) -> None:
    mask = np.random.default_rng(1).random(photo) < 0.7
    masks = np.stack([mask, np.ones(photo, bool), np.zeros(photo, bool)])
    expected = [np.count_nonzero(by_pillow(one, (480, 480))) for one in masks]
    assert foreground(encode(masks), photo).areas(taken_before(photo, (480, 480))).tolist() == expected
    assert expected[1:] == [480 * 480, 0]
