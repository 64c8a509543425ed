from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, Masks, distinct_masks, read_candidates
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.compat import merge_candidates
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from tests.unit.masks.conftest import INFO

SIZE = (6, 10)


def box(x0: int, x1: int) -> np.ndarray:
    """bool SIZE, true in columns x0 to x1 - 1."""
    mask = np.zeros(SIZE, bool)
    mask[:, x0:x1] = True
    return mask


MASKS = np.stack([box(0, 10), box(0, 5), box(3, 8), box(4, 5), box(4, 7)])


@pytest.fixture
def store(tmp_path: Path) -> MaskStore:
    with MaskStoreWriter(tmp_path / "masks.h5", INFO, with_masks=True) as writer:
        for image_id, candidates in {1: {10: [0, 1, 2, 3, 4], 11: [2, 1], 12: []}, 2: {20: [0]}}.items():
            writer.append_image(
                image_id, SIZE, boxes_xyxy=np.arange(20).reshape(5, 4), box_scores=np.ones(5), labels=np.zeros(5),
                rles=rle.encode(MASKS), mask_scores=np.ones(5), candidates=candidates,
            )  # fmt: skip
    return MaskStore(tmp_path / "masks.h5")


def test_candidates_are_those_of_the_file(store: MaskStore) -> None:
    found = read_candidates(store, 11, merged=False)
    assert (found.rows.tolist(), found.size) == ([2, 1], SIZE)
    assert found.boxes_xyxy.tolist() == [[8, 9, 10, 11], [4, 5, 6, 7]]
    np.testing.assert_array_equal(found.masks(), MASKS[[2, 1]])
    np.testing.assert_array_equal(list(found.each()), found.masks())
    assert read_candidates(store, 12, merged=False).masks().shape == (0, *SIZE)


def test_merged_candidates_are_what_the_picture_shows(store: MaskStore) -> None:
    """The covering one is lost, as is the fourth, which the fifth hides; of the others the top is seen."""
    found = read_candidates(store, 10, merged=True)
    assert found.rows.tolist() == [1, 2, 4]
    np.testing.assert_array_equal(found.masks(), np.stack([box(0, 3), box(3, 4) | box(7, 8), box(4, 7)]))
    np.testing.assert_array_equal(found.masks(), merge_candidates(MASKS)[[1, 2, 4]])
    np.testing.assert_array_equal(found.merged().masks(), found.masks())


def test_the_last_one_is_on_top(store: MaskStore) -> None:
    np.testing.assert_array_equal(read_candidates(store, 11, merged=True).masks(), np.stack([box(5, 8), box(0, 5)]))


def test_merged_candidates_may_be_none(store: MaskStore) -> None:
    assert len(read_candidates(store, 12, merged=True)) == len(read_candidates(store, 20, merged=True)) == 0
    assert read_candidates(store, 20, merged=True).masks().shape == (0, *SIZE)


def test_a_drawn_mask_is_the_last_one_with_its_own_box(store: MaskStore) -> None:
    found = read_candidates(store, 11, merged=False)
    mask = box(2, 4)
    mask[0] = False
    more = found.with_drawn(rle.encode(mask[None])[0])
    assert more.rows.tolist() == [2, 1, DRAWN]
    assert more.boxes_xyxy.tolist() == [[8, 9, 10, 11], [4, 5, 6, 7], [2, 1, 4, 6]]
    np.testing.assert_array_equal(more.masks(), np.stack([MASKS[2], MASKS[1], mask]))
    assert found.with_drawn(None) is found


def test_a_mask_that_refs_share_is_one(store: MaskStore) -> None:
    refs = [read_candidates(store, ref_id, merged=False) for ref_id in (11, 12, 10)]
    masks, places = distinct_masks(refs)
    np.testing.assert_array_equal(list(masks), MASKS)
    np.testing.assert_array_equal(masks[1], MASKS[1])
    np.testing.assert_array_equal(masks[:], MASKS)
    assert masks.areas().tolist() == MASKS.sum(axis=(1, 2)).tolist()
    assert [own.tolist() for own in places] == [[2, 1], [], [0, 1, 2, 3, 4]]


def test_what_is_left_of_an_instance_may_differ_from_ref_to_ref(store: MaskStore) -> None:
    refs = [read_candidates(store, ref_id, merged=True) for ref_id in (10, 11, 12)]
    masks, places = distinct_masks(refs)
    assert len(masks) == 5
    for ref, own in zip(refs, places, strict=True):
        np.testing.assert_array_equal(masks[own], ref.masks())


def test_no_candidates_at_all() -> None:
    none = Candidates(SIZE, np.zeros(0, np.int64), np.zeros((0, 4), np.float32), [])
    masks, places = distinct_masks([none, none])
    assert (list(masks), masks[places[0]].shape, [own.tolist() for own in places]) == ([], (0, *SIZE), [[], []])


def test_masks_of_a_large_photo_are_never_all_in_memory() -> None:
    """60 candidates of a photo of 12 megapixels are 720 MB, and as many photos are prepared as there are threads."""
    size = (1000, 2000)
    codes = rle.encode(np.arange(1000)[:, None] < np.arange(2000) % 7 * np.arange(60)[:, None, None])
    tracemalloc.start()
    try:
        assert [int(mask.sum()) for mask in Masks(codes, size)] == rle.areas(codes, size).tolist()
        assert tracemalloc.get_traced_memory()[1] < 60 * 1000 * 2000 / 2
    finally:
        tracemalloc.stop()
