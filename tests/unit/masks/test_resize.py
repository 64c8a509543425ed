from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.masks.resize import masks_at, nearest_index, resize_nearest, taken_before
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


def test_predicted_masks_end_where_the_margin_between_pixels_is_zero() -> None:
    margins = np.array([[[-1, 1]], [[-5, 1]], [[-1, 5]]], np.float32)
    # a pixel of four lies at -1/4, 1/4, 3/4 and 5/4 of two
    assert masks_at(margins, (1, 4)).tolist() == [
        [[False, False, True, True]],
        [[False, False, False, True]],
        [[False, True, True, True]],
    ]
    assert masks_at(margins, (1, 2)).tolist() == (margins > 0).tolist()
    assert masks_at(np.float32([[0, 1]]), (1, 2)).tolist() == [[False, True]]
    assert masks_at(margins[0], (2, 1)).tolist() == [[False], [False]]  # the middle, where the margin is 0
    assert masks_at(margins[:0], (6, 4)).shape == (0, 6, 4)


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
