"""Every prompt, pixel by pixel, against its definition."""

from __future__ import annotations

from unittest.mock import patch

import cv2
import numpy as np
import pytest

from ssc_core.registry import VISUAL_PROMPT
from ssc_core.select import prompts
from ssc_core.select.prompts import load_prompt

RED = (255, 0, 0)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    """Columns 30 to 49, rows 20 to 34, with a hole, so that it is not its box."""
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:35, 30:50] = True
    mask[25:28, 35:40] = False
    return mask


def is_red(image: np.ndarray) -> np.ndarray:
    return (image == RED).all(axis=-1)


def test_every_registered_prompt_is_there():
    for name in VISUAL_PROMPT.registered:
        assert callable(prompts.load_prompt(name))


def test_reverse_blur_is_sharp_in_the_mask_and_blurred_outside(photo, mask):
    marked = prompts.reverse_blur(photo, mask, sigma=50)
    blurred = cv2.GaussianBlur(photo, (0, 0), 50)
    np.testing.assert_array_equal(marked[mask], photo[mask])
    np.testing.assert_array_equal(marked[~mask], blurred[~mask])


def test_reverse_blur_default_is_a_gaussian_of_sigma_50_with_automatic_size(mask):
    photo = np.zeros((601, 601, 3), dtype=np.uint8)
    photo[300, 200:401] = 255
    width = (50 * 6 + 1) | 1
    kernel = np.exp(-((np.arange(width) - width // 2) ** 2) / (2 * 50**2))
    kernel /= kernel.sum()
    across = np.convolve(photo[300, :, 0].astype(float), kernel, mode="same")
    expected = across * kernel[width // 2]
    blurred = prompts.blur(photo)
    assert np.abs(blurred[300, 150:450, 0] - expected[150:450]).max() <= 1
    assert blurred.max() > 0


@pytest.mark.parametrize("sigma", [0.4, 3, 7.9, 8, 12.3, 50, 130])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (40, 61)], ids=str)
def test_the_blur_has_the_bytes_of_opencv(size, sigma):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (
        noise,
        np.full_like(noise, 255),
        np.maximum(noise, 250),
        np.where(noise > 128, 255, 0).astype(np.uint8),
    ):
        np.testing.assert_array_equal(prompts.blur(image, sigma), cv2.GaussianBlur(image, (0, 0), sigma))


def test_reverse_blur_of_an_empty_mask_is_all_blurred(photo):
    marked = prompts.reverse_blur(photo, np.zeros(photo.shape[:2], dtype=bool), sigma=3)
    np.testing.assert_array_equal(marked, prompts.blur(photo, 3))


def test_rectangle_is_4_px_thick_and_4_px_outside_the_box(photo, mask):
    red = is_red(prompts.rectangle(photo, mask))
    columns = np.flatnonzero(red[27])
    rows = np.flatnonzero(red[:, 40])
    # lines of 4 px around the corners (26, 16) and (53, 38); OpenCV centres even lines half a pixel off
    assert np.allclose([columns.min(), columns.max()], [30 - 4 - 2, 49 + 4 + 2], atol=1)
    assert np.allclose([rows.min(), rows.max()], [20 - 4 - 2, 34 + 4 + 2], atol=1)
    assert len(columns) in (8, 10)
    assert not red[20:35, 30:50].any()


def test_red_ellipse_has_half_the_box_and_twice_the_margin_as_half_axes(photo, mask):
    red = is_red(prompts.red_ellipse(photo, mask))
    centre_x, centre_y = (30 + 49) // 2, (20 + 34) // 2
    on_row, on_column = np.flatnonzero(red[centre_y]), np.flatnonzero(red[:, centre_x])
    right, bottom = on_row[on_row > centre_x], on_column[on_column > centre_y]
    assert abs(right.mean() - (centre_x + (49 - 30) // 2 + 8)) <= 0.5
    assert abs(bottom.mean() - (centre_y + (34 - 20) // 2 + 8)) <= 0.5
    assert {len(right), len(bottom)} <= {4, 5}


@pytest.mark.parametrize("prompt", [prompts.rectangle, prompts.red_ellipse])
def test_outlines_change_nothing_but_their_line(photo, mask, prompt):
    marked = prompt(photo, mask)
    untouched = ~is_red(marked)
    np.testing.assert_array_equal(marked[untouched], photo[untouched])


def test_red_dense_mask_is_a_quarter_red_on_the_mask(photo, mask):
    marked = prompts.red_dense_mask(photo, mask)
    np.testing.assert_array_equal(marked[~mask], photo[~mask])
    expected = 0.75 * photo[mask] + 0.25 * np.array(RED)
    assert np.abs(marked[mask] - expected).max() <= 0.5


def test_crop_is_the_box_and_a_tenth_around_it(photo, mask):
    np.testing.assert_array_equal(prompts.crop(photo, mask), photo[20 - 2 : 35 + 2, 30 - 2 : 50 + 2])


def test_crop_stays_in_the_photo(photo):
    everything = np.ones(photo.shape[:2], dtype=bool)
    np.testing.assert_array_equal(prompts.crop(photo, everything), photo)


@pytest.mark.parametrize("name", [name for name in VISUAL_PROMPT.registered if name != "reverse_blur"])
def test_an_empty_mask_marks_nothing(photo, name):
    (marked,) = prompts.prompted_images(photo, np.zeros((1, 60, 80), dtype=bool), [load_prompt(name)])
    np.testing.assert_array_equal(marked, photo)


@pytest.mark.parametrize("name", VISUAL_PROMPT.registered)
def test_prompts_are_pure(photo, mask, name):
    before = photo.copy(), mask.copy()
    first, second = prompts.prompted_images(photo, np.stack([mask, mask]), [load_prompt(name)], blur_sigma=2)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8
    first[:] = 7
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_objects_at_the_border_are_marked_without_error(photo):
    corner = np.zeros((60, 80), dtype=bool)
    corner[:3, :3] = True
    every = [load_prompt(name) for name in VISUAL_PROMPT.registered]
    assert len(list(prompts.prompted_images(photo, corner[None], every, blur_sigma=2))) == len(every)


def test_the_blur_is_computed_once_a_photo(photo, mask):
    with patch.object(prompts, "blur", wraps=prompts.blur) as blur:
        images = list(
            prompts.prompted_images(
                photo, np.stack([mask] * 5), [load_prompt("crop"), load_prompt("reverse_blur")], blur_sigma=2
            )
        )
    assert blur.call_count == 1
    assert len(images) == 10
    np.testing.assert_array_equal(images[1], prompts.reverse_blur(photo, mask, sigma=2))
    np.testing.assert_array_equal(images[0], prompts.crop(photo, mask))


def test_no_masks_no_blur(photo):
    with patch.object(prompts, "blur") as blur:
        assert (
            list(prompts.prompted_images(photo, np.zeros((0, 60, 80), dtype=bool), [load_prompt("reverse_blur")])) == []
        )
    blur.assert_not_called()
