"""boxes.h5 and masks.h5: what goes in comes out, and reading one ref reads little."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStore, MaskStoreWriter


def test_round_trip(masks_h5: Path, photos) -> None:
    with MaskStore.open(masks_h5, with_masks=True) as store:
        assert store.image_ids.tolist() == [7, 3, 4]
        assert store.ref_ids.tolist() == [70, 71, 30, 31, 40, 41]
        assert len(store) == 6
        found = store.instances(3)
        assert store.image_size(3) == (8, 12)
        assert found.rows.tolist() == [3, 4, 5]
        np.testing.assert_array_equal(found.boxes_xyxy, np.arange(12).reshape(3, 4) + 3)
        np.testing.assert_allclose(found.box_scores, [0.5, 0.7, 0.9], rtol=1e-6)
        np.testing.assert_allclose(found.mask_scores, [0.1, 0.2, 0.3], rtol=1e-6)
        assert found.labels.tolist() == [0, 1, 0]
        np.testing.assert_array_equal(store.masks(found.rows), photos.masks(3))
        assert store.rles(found.rows) == rle.encode(photos.masks(3))
        dtypes = [a.dtype for a in (found.rows, found.boxes_xyxy, found.box_scores, found.labels, found.mask_scores)]
        assert dtypes == [np.int64, np.float32, np.float32, np.int32, np.float32]


def test_candidates_keep_their_order(masks_h5: Path, photos) -> None:
    with MaskStore.open(masks_h5) as store:
        found = store.candidates(30)
        assert found.rows.tolist() == [5, 4, 3]
        np.testing.assert_array_equal(found.boxes_xyxy[:, 0], [11, 7, 3])
        np.testing.assert_array_equal(store.masks(found.rows), photos.masks(3)[::-1])
        np.testing.assert_array_equal(store.candidate_masks(30), photos.masks(3)[::-1])
        assert store.image_of(30) == store.image_of(31) == 3
        assert store.all_refs_of(3) == [30, 31]


def test_finding_the_refs_of_a_photo_copies_nothing_of_the_others(photos, tmp_path: Path) -> None:
    others = 40_000
    with MaskStoreWriter(tmp_path / "masks.h5", photos.info, with_masks=True) as writer:
        photos.append(writer, 0, candidates={ref_id: [] for ref_id in range(others)})
        photos.append(writer, 4, candidates={others: [], others + 1: []})
    with MaskStore.open(tmp_path / "masks.h5") as store:
        tracemalloc.start()
        try:
            assert store.all_refs_of(4) == [others, others + 1]
            assert tracemalloc.get_traced_memory()[1] < others, "a byte of each would be as much"
        finally:
            tracemalloc.stop()


def test_refs_and_images_without_instances(masks_h5: Path) -> None:
    with MaskStore.open(masks_h5) as store:
        assert len(store.candidates(31)) == len(store.instances(4)) == len(store.candidates(40)) == 0
        assert store.candidates(31).boxes_xyxy.shape == (0, 4)
        assert store.candidate_masks(31).shape == store.candidate_masks(40).shape == (0, 8, 12)
        assert store.masks([]).shape == (0, 0, 0)
        assert store.rles([]) == []


def test_an_empty_store(photos, tmp_path: Path) -> None:
    with MaskStore.open(photos.write(tmp_path / "masks.h5", [])) as store:
        assert len(store) == len(store.image_ids) == 0


def test_overlaps_are_kept(photos, tmp_path: Path) -> None:
    masks = np.zeros((3, 8, 12), dtype=bool)
    masks[0, :6], masks[1, 2:], masks[2] = True, True, True
    path = tmp_path / "masks.h5"
    with MaskStoreWriter(path, photos.info, with_masks=True) as writer:
        photos.append(writer, 3, rles=rle.encode(masks))
    with MaskStore.open(path) as store:
        np.testing.assert_array_equal(store.masks(store.instances(3).rows), masks)


def test_boxes_without_masks(photos, tmp_path: Path) -> None:
    with MaskStore.open(photos.write(tmp_path / "boxes.h5", [7, 3], with_masks=False), with_masks=False) as store:
        found = store.candidates(30)
        assert not store.has_masks
        assert np.isnan(found.mask_scores).tolist() == [True] * 3
        np.testing.assert_array_equal(found.boxes_xyxy[:, 0], [11, 7, 3])
        with pytest.raises(SscError, match="boxes without masks"):
            store.masks(found.rows)


def test_unknown_ids(masks_h5: Path) -> None:
    with MaskStore.open(masks_h5) as store:
        for read in (store.candidates, store.image_of, store.candidate_masks):
            with pytest.raises(SscError, match="no ref 99"):
                read(99)
        for read in (store.instances, store.image_size, store.all_refs_of):
            with pytest.raises(SscError, match="no image 99"):
                read(99)


@pytest.mark.parametrize("rows", [[2, 3], [-1], [6], [0, 6]])
def test_masks_of_one_image_only(rows: list[int], masks_h5: Path) -> None:
    with MaskStore.open(masks_h5) as store, pytest.raises(ValueError, match="rows of one image"):
        store.masks(rows)


def test_reading_a_ref_touches_nothing_else(photos, tmp_path: Path) -> None:
    """With other chunks of numbers and run lengths destroyed, the ref still reads."""
    path = photos.write(tmp_path / "masks.h5", list(range(3, 1503)))
    with h5py.File(path) as file:
        chunks = [file[name].id.get_chunk_info(1) for name in ("rle", "instance/box_xyxy", "instance/mask_score")]
    with path.open("r+b") as raw:
        for chunk in chunks:
            raw.seek(chunk.byte_offset)
            raw.write(bytes(chunk.size))
    with MaskStore.open(path) as store:
        for image_id in (3, 1499):
            np.testing.assert_array_equal(store.candidate_masks(10 * image_id), photos.masks(image_id)[::-1])
        with pytest.raises(SscError, match="damaged"):
            store.instances(1003)  # rows 1500 and on, in the second chunk


@pytest.mark.parametrize(
    "changes",
    [
        {"rles": None, "mask_scores": None},
        {"mask_scores": None},
        {"labels": [0, 1]},
        {"labels": [0, 1, 2]},
        {"labels": [0, -1, 1]},
        {"boxes_xyxy": np.zeros((2, 4))},
        {"rles": []},
        {"candidates": {30: [3]}},
        {"candidates": {30: [-1]}},
    ],
)
def test_values_that_do_not_match_are_refused(changes: dict[str, Any], photos, tmp_path: Path) -> None:
    with MaskStoreWriter(tmp_path / "masks.h5", photos.info, with_masks=True) as writer:
        with pytest.raises(ValueError, match=r"."):
            photos.append(writer, 3, **changes)
        photos.append(writer, 7)
    with MaskStore.open(tmp_path / "masks.h5") as store:
        np.testing.assert_array_equal(store.candidate_masks(70), photos.masks(7)[::-1])


def test_masks_given_for_a_file_of_boxes(photos, tmp_path: Path) -> None:
    with (
        MaskStoreWriter(tmp_path / "boxes.h5", photos.info, with_masks=False) as writer,
        pytest.raises(ValueError, match="with_masks"),
    ):
        photos.append(writer, 3, with_masks=True)


def test_a_malformed_rle_is_refused_with_its_image(photos, tmp_path: Path) -> None:
    with (
        MaskStoreWriter(tmp_path / "masks.h5", photos.info, with_masks=True) as writer,
        pytest.raises(SscError, match="image 3: RLE 2"),
    ):
        photos.append(writer, 3, rles=[*rle.encode(photos.masks(3)[:2]), rle.empty((9, 9))])


def test_ids_come_once(photos, tmp_path: Path) -> None:
    with MaskStoreWriter(tmp_path / "masks.h5", photos.info, with_masks=True) as writer:
        photos.append(writer, 3)
        with pytest.raises(SscError, match="image 3 was added"):
            photos.append(writer, 3)
        with pytest.raises(SscError, match="ref 31 was added"):
            photos.append(writer, 7, candidates={31: []})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 500), unique=True, max_size=8),
    st.lists(st.text(max_size=20), max_size=4).map(tuple),
)
def test_any_store_comes_back(photos, tmp_path_factory, image_ids: list[int], names: tuple[str, ...]) -> None:
    info = StoreInfo(("cat", "dog", *names), {"names": list(names)}, "c", dict.fromkeys(names, "0"))
    path = photos.write(tmp_path_factory.mktemp("any") / "masks.h5", image_ids, info=info)
    with MaskStore.open(path) as store:
        assert store.info == info
        assert store.image_ids.tolist() == image_ids
        for image_id in image_ids:
            np.testing.assert_array_equal(store.candidate_masks(10 * image_id), photos.masks(image_id)[::-1])


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(SscError, match="is a folder; name a file in it"):
        MaskStore.open(tmp_path)
