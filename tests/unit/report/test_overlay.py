from __future__ import annotations

import numpy as np
import pytest

from ssc_core.drawing import style
from ssc_core.drawing.marks import number_place, scale, soften
from ssc_core.report.overlay import candidates_overlay, overlay
from ssc_core.report.sheet import keep_end, wrap

GREY = np.full((60, 80, 3), 100, np.uint8)
MASK = np.zeros((60, 80), bool)
MASK[20:40, 20:60] = True


def distance(pixel: np.ndarray, colour: style.Colour) -> float:
    return float(np.abs(pixel.astype(float) - colour).sum())


def test_mask_is_tinted_and_the_rest_is_quieter() -> None:
    picture = overlay(GREY, MASK)
    assert picture.shape == GREY.shape
    assert picture.dtype == np.uint8
    assert distance(picture[30, 40], style.PREDICTION) < distance(GREY[30, 40], style.PREDICTION)
    assert (picture[5, 5] < GREY[5, 5]).all()
    assert (GREY == 100).all(), "the photo itself stays as it was"


def test_truth_is_outlined_in_its_colour() -> None:
    other = np.zeros_like(MASK)
    other[5:15, 5:15] = True
    without, with_truth = overlay(GREY, MASK), overlay(GREY, MASK, other)
    changed = (without != with_truth).any(axis=2)
    assert changed[5, 10]
    assert not changed[10, 10], "only its outline"
    assert distance(with_truth[5, 10], style.TRUTH) < 0.3 * distance(without[5, 10], style.TRUTH)


def test_empty_mask_leaves_the_photo_alone() -> None:
    np.testing.assert_array_equal(overlay(GREY, np.zeros_like(MASK)), GREY)


def test_mask_of_another_size_covers_the_same_part() -> None:
    small = MASK[::4, ::4]
    assert np.mean((soften(small, MASK.shape) >= 0.5) != MASK) < 0.03


def test_sentence_goes_below() -> None:
    picture = overlay(GREY, MASK, sentence="a very long sentence that cannot fit into one line of eighty pixels")
    assert picture.shape[1] == GREY.shape[1]
    assert picture.shape[0] > GREY.shape[0] + 20
    assert (picture[GREY.shape[0] :] < 100).any(), "it is written in ink"


@pytest.mark.parametrize(("side", "shape"), [(None, (60, 80)), (80, (60, 80)), (40, (30, 40)), (160, (120, 160))])
def test_scale(side: int | None, shape: tuple[int, int]) -> None:
    assert scale(GREY, side).shape == (*shape, 3)


def test_candidates_show_which_one_was_picked() -> None:
    left, right = np.zeros_like(MASK), np.zeros_like(MASK)
    left[10:50, 5:35], right[10:50, 45:75] = True, True
    picture = candidates_overlay(GREY, [left, right], pick=1)
    assert distance(picture[14, 60], style.PICK) < distance(picture[14, 20], style.PICK)
    np.testing.assert_array_equal(candidates_overlay(GREY, [], None), GREY)


@pytest.mark.parametrize("shape", [(60, 80), (200, 120), (4, 300)])
def test_numbers_are_not_cut_at_the_border(shape: tuple[int, int]) -> None:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    corners = [np.broadcast_to(one, shape) for one in ((rows < 3) & (columns < 3), (rows > shape[0] - 3))]
    for margin in (1, 7.5):
        for mask in corners:
            x, y = number_place(mask.astype(np.float32), margin)
            for place, length in ((x, shape[1]), (y, shape[0])):
                assert margin <= place <= length - 1 - margin or place == (length - 1) / 2

    photo = np.zeros((*shape, 3), np.uint8)
    picture = candidates_overlay(photo, corners, None, side=400)
    paper = (np.abs(picture.astype(int) - style.PAPER).max(axis=2) < 30) if min(picture.shape[:2]) > 60 else None
    if paper is not None:
        assert paper.any()
        assert not (paper[0].any() or paper[-1].any() or paper[:, 0].any() or paper[:, -1].any())


def test_names_of_files_keep_their_end() -> None:
    face = style.font(13, bold=True)
    name = "COCO_train2014_000000581857.jpg"
    assert keep_end(name, face, 400) == name
    short = keep_end(name, face, 200)
    assert short.startswith("…") and short.endswith("581857.jpg")
    assert face.getlength(short) <= 200


def test_wrap() -> None:
    face = style.font(12)
    lines = wrap("one two three four five six seven eight nine ten", face, 80, max_lines=2)
    assert len(lines) == 2
    assert all(face.getlength(line) <= 80 for line in lines)
    assert lines[-1].endswith("…")
    assert wrap("short", face, 80) == ["short"]
    assert face.getlength(wrap("x" * 200, face, 80)[0]) <= 80
