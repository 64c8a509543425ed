from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.masks import MaskStore, SelectionStore, SelectionWriter, rle
from ssc_core.masks.png_folder import (
    ImportedRef,
    from_grey,
    import_masks,
    import_selection,
    to_grey,
    write_pngs,
)
from tests.unit.masks.conftest import INFO

SIZE = (8, 12)


def disjoint(count: int) -> np.ndarray:
    """bool (count, 8, 12): stripes with a background column each."""
    masks = np.zeros((count, *SIZE), bool)
    for number in range(count):
        masks[number, :, 3 * number : 3 * number + 2] = True
    return masks


def refs(*ref_ids: int) -> list[ImportedRef]:
    return [ImportedRef(ref_id, ref_id // 10, SIZE, "cat") for ref_id in ref_ids]


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_disjoint_candidates_survive_the_picture(count: int) -> None:
    grey = to_grey(disjoint(count))
    assert grey.max(initial=0) == (255 if count else 0)
    np.testing.assert_array_equal(from_grey(grey), disjoint(count))


def test_the_later_candidate_is_on_top() -> None:
    masks = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], dtype=bool)
    np.testing.assert_array_equal(to_grey(masks), [[127, 255, 255, 0]])


def test_a_mask_of_the_whole_photo_is_not_lost() -> None:
    whole = np.ones((1, *SIZE), bool)
    np.testing.assert_array_equal(from_grey(to_grey(whole)), whole)


def test_candidates_make_the_round_trip(photos, tmp_path: Path) -> None:
    photos.masks = lambda image_id: disjoint(image_id % 4)
    store = MaskStore.open(photos.write(tmp_path / "masks.h5", [3, 2]))
    counts = write_pngs(store, tmp_path / "png")
    assert (counts.refs, counts.empty, counts.lossy) == (4, 2, 0)
    assert sorted(path.name for path in (tmp_path / "png").iterdir())[0] == "pseudo_gt_mask_20.png"

    import_masks(refs(30, 31, 20, 21), tmp_path / "png", tmp_path / "back.h5")
    back = MaskStore.open(tmp_path / "back.h5")
    for ref_id in (30, 31, 20, 21):
        np.testing.assert_array_equal(back.candidate_masks(ref_id), store.candidate_masks(ref_id))
    boxes = back.candidates(20).boxes_xyxy.tolist()
    assert boxes == [[3, 0, 5, 8], [0, 0, 2, 8]]  # ref 20 has its candidates last one first


def test_overlaps_are_counted(photos, masks_h5: Path, tmp_path: Path) -> None:
    assert write_pngs(MaskStore.open(masks_h5), tmp_path / "png").lossy == 2


def test_equal_masks_of_two_refs_are_one_instance(tmp_path: Path) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    for ref_id in (10, 11):
        Image.fromarray(to_grey(disjoint(2))).save(folder / f"pseudo_gt_mask_{ref_id}.png")
    import_masks(refs(10, 11), folder, tmp_path / "masks.h5")
    store = MaskStore.open(tmp_path / "masks.h5")
    assert len(store.instances(1)) == 2
    assert store.candidates(10).rows.tolist() == store.candidates(11).rows.tolist()


def test_selected_masks_make_the_round_trip(photos, tmp_path: Path) -> None:
    photos.masks = lambda image_id: disjoint(image_id % 4)
    masks = MaskStore.open(photos.write(tmp_path / "masks.h5", [3]))
    with SelectionWriter(tmp_path / "selected.h5", INFO) as writer:
        chosen = int(masks.candidates(30).rows[1])
        values = {"image_id": 3, "size": SIZE}
        writer.append_ref(30, **values, chosen=[chosen], scores=np.zeros((1, 3)), rles=masks.rles([chosen]))
        writer.append_ref(31, **values, chosen=[-1], scores=np.zeros((1, 0)), rles=[None])
    selected = SelectionStore(tmp_path / "selected.h5")
    assert write_pngs(selected, tmp_path / "png").empty == 1

    import_selection(refs(30, 31), tmp_path / "png", masks, tmp_path / "back.h5")
    back = SelectionStore(tmp_path / "back.h5")
    assert [back.chosen(30), back.chosen(31)] == [chosen, -1]
    np.testing.assert_array_equal(back.mask(30), selected.mask(30))
    assert back.scores(30).argmax() == 1


def test_a_wrong_folder_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SscError, match=r"pseudo_gt_mask_7\.png"):
        import_masks(refs(7), tmp_path, tmp_path / "masks.h5")
    assert not (tmp_path / "masks.h5").exists()


@pytest.mark.parametrize(("content", "message"), [(b"no picture", "cannot be read"), (None, "4 x 5 pixels.*8 x 12")])
def test_a_bad_picture_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "pseudo_gt_mask_10.png"
    if content is None:
        Image.new("L", (5, 4)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(SscError, match=message):
        import_masks(refs(10), tmp_path, tmp_path / "masks.h5")
    assert not (tmp_path / "masks.h5").exists()


def test_too_many_candidates_for_a_grey_picture() -> None:
    with pytest.raises(SscError, match="256 candidates"):
        to_grey(np.zeros((256, 2, 2), bool))


def test_rle_boxes() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, 1:3, 2:5] = True
    assert rle.boxes(rle.encode(masks), (4, 6)).tolist() == [[2, 1, 3, 2], [0, 0, 0, 0]]
