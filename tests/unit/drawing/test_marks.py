"""Outlines and numbers over photos."""

from __future__ import annotations

import numpy as np
import pytest

from ssc_core.drawing import style
from ssc_core.drawing.marks import MARKS, marked, number_place, number_places

GREY = np.full((240, 320, 3), 100, np.uint8)
SHAPE = GREY.shape[:2]


def block(y: int, x: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def disc(place: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (columns - place[0]) ** 2 + (rows - place[1]) ** 2 <= radius**2


def has(picture: np.ndarray, colour: style.Colour) -> np.ndarray:
    return (picture == colour).all(axis=2)


def test_every_mask_has_its_own_colour_and_a_number() -> None:
    masks = np.stack([block(10 + 75 * row, 10 + 105 * column, 60, 80) for row in range(3) for column in range(3)])
    picture = marked(GREY, masks)
    assert picture.shape == GREY.shape
    for index, (mask, colour) in enumerate(zip(masks, MARKS, strict=True)):
        found = has(picture, colour)
        assert found[mask].sum() > 200, "the number's disc"
        assert not found[np.delete(masks, index, axis=0).any(axis=0)].any()
    assert (GREY == 100).all(), "the photo itself stays as it was"


def test_the_same_masks_are_drawn_alike() -> None:
    masks = np.stack([block(10, 10, 60, 80), block(100, 100, 6, 6)])
    np.testing.assert_array_equal(marked(GREY, masks), marked(GREY, masks))


def test_large_photos_are_made_smaller_and_small_ones_are_not_enlarged() -> None:
    masks = block(10, 10, 60, 80)[None]
    assert marked(GREY, masks, side=160).shape == (120, 160, 3)
    assert marked(GREY, masks, side=1024).shape == GREY.shape


def test_an_empty_mask_has_no_number_and_leaves_the_others_theirs() -> None:
    masks = np.stack([np.zeros(SHAPE, bool), block(100, 100, 80, 80)])
    first, second = number_places(masks, 8)
    assert first is None
    assert second is not None
    assert not has(marked(GREY, masks), MARKS[0]).any()
    np.testing.assert_array_equal(marked(GREY, masks[:1]), GREY)
    assert marked(GREY, masks[:0]).shape == GREY.shape


def test_numbers_of_equal_masks_do_not_cover_each_other() -> None:
    radius = 12
    places = number_places([block(60, 60, 120, 200)] * 9, radius)
    found = np.array(places, float)
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)[~np.eye(9, dtype=bool)]
    assert apart.min() >= 2 * radius


def test_a_number_that_would_hide_its_object_lies_beside_it_and_on_no_other() -> None:
    small, large = block(100, 150, 12, 12), block(60, 60, 100, 85)
    places = number_places([large, small], 12)
    assert places[0] is not None and places[1] is not None
    assert large[int(places[0][1]), int(places[0][0])]
    covered = disc(places[1], 12)
    assert not (covered & (small | large)).any()
    assert (disc(places[1], 12 + 4) & small).any(), "it lies close to its own"


def test_where_there_is_no_room_beside_it_a_number_lies_on_its_object() -> None:
    everywhere = np.ones((20, 20), bool)
    tiny = np.zeros((20, 20), bool)
    tiny[:3, :3] = True
    places = number_places([everywhere, tiny], 12)
    assert places == [(9.5, 9.5), (9.5, 9.5)]


def test_the_number_lies_in_its_mask_where_there_is_room() -> None:
    mask = block(80, 80, 80, 160)
    assert number_place(mask.astype(np.float32), 8) == pytest.approx((159, 119), abs=41)
    x, y = number_place(mask.astype(np.float32), 8)
    assert mask[int(y), int(x)]
