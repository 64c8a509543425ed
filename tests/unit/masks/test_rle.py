"""COCO run lengths: exact round trips, and foreign bytes that are refused before C code sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.masks import rle

SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9))
SIZE = (4, 5)
LEFT = np.array([[True, True, False, False, False]] * 4)
RIGHT = np.array([[False, True, True, False, False]] * 4)


@settings(deadline=None)
@given(hnp.arrays(bool, SHAPES))
def test_round_trip(masks: np.ndarray) -> None:
    decoded = rle.decode(rle.encode(masks), masks.shape[1:])
    assert decoded.dtype == bool
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, masks)


@pytest.mark.parametrize("fill", [False, True])
def test_round_trip_of_a_big_uniform_mask(fill: bool) -> None:
    masks = np.full((1, 1500, 2000), fill)
    np.testing.assert_array_equal(rle.decode(rle.encode(masks), (1500, 2000)), masks)


@settings(deadline=None)
@given(hnp.arrays(bool, SHAPES))
def test_areas(masks: np.ndarray) -> None:
    np.testing.assert_array_equal(rle.areas(rle.encode(masks), masks.shape[1:]), masks.sum(axis=(1, 2)))


@settings(deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))))
def test_ious(masks: np.ndarray) -> None:
    codes = rle.encode(masks)
    both = (masks[:, None] & masks[None]).sum(axis=(2, 3))
    either = (masks[:, None] | masks[None]).sum(axis=(2, 3))
    expected = np.where(either > 0, both / np.maximum(either, 1), 0)
    np.testing.assert_allclose(rle.ious(codes, codes, masks.shape[1:]), expected)


def test_ious_of_nothing() -> None:
    assert rle.ious([], rle.encode(LEFT[None]), SIZE).shape == (0, 1)
    assert rle.ious(rle.encode(LEFT[None]), [], SIZE).shape == (1, 0)


def test_union() -> None:
    codes = rle.encode(np.stack([LEFT, RIGHT]))
    np.testing.assert_array_equal(rle.decode([rle.union(codes, SIZE)], SIZE)[0], LEFT | RIGHT)
    assert rle.union([], SIZE) == rle.empty(SIZE)
    assert rle.areas([rle.empty(SIZE)], SIZE).tolist() == [0]


@pytest.mark.parametrize("masks", [np.zeros((4, 5), dtype=bool), np.zeros((1, 4, 5), dtype=np.uint8)])
def test_encode_wants_bool_n_h_w(masks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="bool"):
        rle.encode(masks)


@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"\x00\x00",
        b"d\xff0",
        "d0é".encode(),
        b"P",  # a number that never ends
        b"ooooooooooooooooooooooooo0",  # a number of 130 bits
        b"d",  # a first number that is cut short
    ],
)
def test_malformed_bytes_are_refused(counts: bytes) -> None:
    with pytest.raises(SscError, match="RLE 1 is malformed"):
        rle.decode([rle.empty(SIZE), counts], SIZE)


@pytest.mark.parametrize(
    "read",
    [
        rle.areas,
        rle.boxes,
        rle.union,
        lambda codes, size: rle.ious(codes, [rle.empty(size)], size),
        lambda codes, size: rle.ious([rle.empty(size)], codes, size),
        lambda codes, size: rle.nearest(rle.empty(size), codes, size),
    ],
)
def test_nothing_hands_malformed_bytes_to_c_code(read: Callable[[list[bytes], tuple[int, int]], object]) -> None:
    with pytest.raises(SscError, match="RLE 0 does not fit"):
        read([rle.empty((9, 9))], SIZE)


def test_boxes() -> None:
    masks = np.stack([LEFT, np.zeros(SIZE, bool), np.eye(*SIZE, 1, dtype=bool)])
    assert rle.boxes(rle.encode(masks), SIZE).tolist() == [[0, 0, 2, 4], [0, 0, 0, 0], [1, 0, 4, 4]]
    assert rle.boxes([], SIZE).shape == (0, 4)


@pytest.mark.parametrize(
    ("runs", "size"),
    [
        ([19], SIZE),
        ([21], SIZE),
        ([0, 20, 20], SIZE),
        ([10, 11], SIZE),
        ([2**31 - 1], SIZE),
        ([0, 2**31 - 1, 1], SIZE),
        ([20], (5, 5)),
    ],
)
def test_runs_that_do_not_fill_the_mask_are_refused(runs: list[int], size: tuple[int, int]) -> None:
    code = coco.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"]
    with pytest.raises(SscError, match="does not fit"):
        rle.decode([code], size)


def test_negative_runs_are_refused() -> None:
    minus_five_then_twenty_five = bytes([48 + 27, 48 + 25 + 32, 48])
    with pytest.raises(SscError, match="does not fit"):
        rle.decode([minus_five_then_twenty_five], SIZE)


@pytest.mark.parametrize("runs", [[20], [0, 20], [20, 0], [5, 0, 15], [0, 0, 0, 20], [7, 3, 1, 9]])
def test_valid_runs_of_other_encoders_are_read(runs: list[int]) -> None:
    code = coco.frPyObjects({"size": list(SIZE), "counts": runs}, *SIZE)["counts"]
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    np.testing.assert_array_equal(rle.decode([code], SIZE)[0], values.reshape(SIZE, order="F"))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-4, -5), (2**20, 2**20)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SscError, match="both sides must be at least 1"):
        rle.decode([b"d0"], size)


def test_errors_say_where() -> None:
    with pytest.raises(SscError, match=r"^image 7: RLE 0"):
        rle.check([b"\x00"], SIZE, where="image 7")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=12) | st.text("0123456789:;<=>?@OPQ_`abcdno", max_size=12).map(str.encode))
@example(b"d0")
def test_any_bytes_are_decoded_or_refused(code: bytes) -> None:
    try:
        mask = rle.decode([code], SIZE)
    except SscError:
        return
    np.testing.assert_array_equal(rle.decode(rle.encode(mask), SIZE), mask)
