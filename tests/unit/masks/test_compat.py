"""What grey PNGs and palette mode do to masks, against Pillow itself."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.masks.compat import is_corrupted, merge_candidates, palette_targets


def rows(*spans: tuple[int, int]) -> np.ndarray:
    """bool (K, 10, 6): mask k covers rows start to stop - 1 of its span."""
    masks = np.zeros((len(spans), 10, 6), dtype=bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[start:stop] = True
    return masks


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(1, 4)], [(1, 4)]),
        ([(1, 4), (6, 8)], [(1, 4), (6, 8)]),
        ([(1, 5), (3, 8)], [(1, 3), (3, 8)]),  # the later one hides the earlier one
        ([(2, 4), (1, 6)], [(0, 0), (1, 6)]),  # hidden altogether
        ([(0, 10)], [(0, 0)]),  # the whole image is saved empty
        ([(0, 10), (2, 4)], [(0, 0), (2, 4)]),  # the lowest level becomes the background
        ([(0, 5), (5, 10)], [(0, 0), (5, 10)]),
        ([(0, 0)], [(0, 0)]),
        ([], []),
    ],
)
def test_merge_candidates(spans: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    masks = rows(*spans)
    before = masks.copy()
    np.testing.assert_array_equal(merge_candidates(masks), rows(*expected))
    np.testing.assert_array_equal(masks, before)


def test_many_candidates_of_a_large_photo_take_no_more_memory_than_they_do_themselves() -> None:
    masks = np.zeros((40, 300, 400), dtype=bool)
    masks[:, 10:20, 10:20] = True
    tracemalloc.start()
    try:
        merge_candidates(masks)
        assert tracemalloc.get_traced_memory()[1] < 2 * masks.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("spans", "targets"),
    [
        ([(0, 4)], [(0, 4)]),  # a small mask survives
        ([(0, 6)], [(6, 10)]),  # over half of the image: inverted
        ([(0, 0)], []),
        ([(0, 10)], []),
        ([(0, 2), (2, 5)], [(2, 5), (0, 2)]),  # background is biggest: right, though in order of size
        ([(0, 2), (2, 7)], [(7, 10), (0, 2)]),  # the biggest becomes background, the background a target
        ([(0, 2), (3, 5), (5, 9)], None),
        ([], []),
    ],
)
def test_palette_targets(spans: list[tuple[int, int]], targets: list[tuple[int, int]] | None) -> None:
    found = palette_targets(rows(*spans))
    if targets is None:
        assert found.sum(axis=(1, 2)).tolist() == [12, 12, 12]
        assert not found[:, 5:9].any()
    else:
        np.testing.assert_array_equal(found, rows(*targets))


@pytest.mark.parametrize(
    ("spans", "corrupted"),
    [
        ([(0, 4)], False),
        ([(0, 6)], True),
        ([(0, 0)], False),
        ([(0, 10)], False),
        ([(0, 2), (2, 5)], False),
        ([(0, 2), (2, 7)], True),
        ([], False),
    ],
)
def test_is_corrupted(spans: list[tuple[int, int]], corrupted: bool) -> None:
    assert is_corrupted(rows(*spans)) is corrupted


def test_many_candidates_fall_together() -> None:
    """The quantiser keeps sixteen levels of grey."""
    masks = np.eye(40, dtype=bool)[:30].reshape(30, 8, 5)
    assert len(palette_targets(masks)) < 16
    assert is_corrupted(masks)


def test_a_real_file_does_the_same(tmp_path: Path) -> None:
    """Write the picture, read it back in palette mode, as the published code does."""
    masks = rows((0, 3), (2, 9))
    grey = np.zeros((10, 6), dtype=np.uint8)
    grey[masks[0]], grey[masks[1]] = 127, 255
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "ref.png")
    with Image.open(tmp_path / "ref.png") as image:
        numbers = np.asarray(image.convert("P"))
    targets = palette_targets(masks)
    np.testing.assert_array_equal(targets, numbers == np.arange(1, numbers.max() + 1)[:, None, None])
    np.testing.assert_array_equal(numbers[2:9], np.zeros((7, 6)))
