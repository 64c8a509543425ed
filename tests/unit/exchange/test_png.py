from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import Export, LeftOut
from ssc_core.exchange.foreign import Photo
from ssc_core.exchange.incoming import collect, write_candidates, write_selection
from ssc_core.exchange.origin import is_imported
from ssc_core.exchange.png import from_grey, read_png, to_grey, write
from ssc_core.masks import rle
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from tests.unit.masks.conftest import INFO

SIZE = (8, 12)


def disjoint(count: int) -> np.ndarray:
    """bool (count, 8, 12): stripes with a background column each."""
    masks = np.zeros((count, *SIZE), bool)
    for number in range(count):
        masks[number, :, 3 * number : 3 * number + 2] = True
    return masks


def refs(*ref_ids: int, size: tuple[int, int] = SIZE) -> list[Photo]:
    """Photos with these refs: ref 31 is of photo 3."""
    members: dict[int, list[Ref]] = {}
    for ref_id in ref_ids:
        image_id = ref_id // 10
        ref = Ref(ref_id, ref_id, image_id, f"{image_id}.png", *size, "train", 1, "cat", (ref_id,), ("a",))
        members.setdefault(image_id, []).append(ref)
    return [Photo(image_id, f"{image_id}.png", size, tuple(own)) for image_id, own in members.items()]


def write_pngs(store: MaskStore | SelectionStore, folder: Path) -> dict[str, list[str]]:
    left_out = LeftOut()
    write(Export((), store, {}, "train", Path(), left_out), folder)
    return left_out.names


def import_masks(photos: list[Photo], folder: Path, out: Path) -> dict[str, list[str]]:
    passed_over = LeftOut()
    found = collect("png", folder, photos, passed_over, per_ref=False)
    write_candidates(photos, found, out, passed_over, source="png")
    return passed_over.names


def import_selection(photos: list[Photo], folder: Path, masks: MaskStore, out: Path) -> dict[str, list[str]]:
    passed_over = LeftOut()
    found = collect("png", folder, photos, passed_over, per_ref=True)
    write_selection(photos, found, masks, out, passed_over, source="png")
    return passed_over.names


BLACK = "masks of refs that have none, so that their pictures are black"
COVERED = "what a later candidate of a ref covers of an earlier one"


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
    assert write_pngs(store, tmp_path / "png") == {BLACK: ["31", "21"]}
    assert sorted(path.name for path in (tmp_path / "png").iterdir())[0] == "pseudo_gt_mask_20.png"

    import_masks(refs(30, 31, 20, 21), tmp_path / "png", tmp_path / "back.h5")
    back = MaskStore.open(tmp_path / "back.h5")
    for ref_id in (30, 31, 20, 21):
        np.testing.assert_array_equal(back.candidate_masks(ref_id), store.candidate_masks(ref_id))
    boxes = back.candidates(20).boxes_xyxy.tolist()
    assert boxes == [[3, 0, 5, 8], [0, 0, 2, 8]]  # ref 20 has its candidates last one first


def test_overlaps_are_counted(photos, masks_h5: Path, tmp_path: Path) -> None:
    assert write_pngs(MaskStore.open(masks_h5), tmp_path / "png")[COVERED] == ["70", "30"]


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
    assert write_pngs(selected, tmp_path / "png") == {BLACK: ["31"]}

    import_selection(refs(30, 31), tmp_path / "png", masks, tmp_path / "back.h5")
    back = SelectionStore(tmp_path / "back.h5")
    assert [back.chosen(30), back.chosen(31)] == [chosen, -1]
    np.testing.assert_array_equal(back.mask(30), selected.mask(30))
    assert back.scores(30).argmax() == 1
    assert is_imported(tmp_path / "back.h5")
    made_here, none_there = (is_imported(tmp_path / name) for name in ("selected.h5", "nothing.h5"))
    assert (made_here, none_there) == (False, False)
    (tmp_path / "half.h5").write_bytes((tmp_path / "back.h5").read_bytes()[:500])
    assert not is_imported(tmp_path / "half.h5")


def test_a_wrong_folder_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SscError, match=r"pseudo_gt_mask_7\.png"):
        import_masks(refs(7), tmp_path, tmp_path / "masks.h5")
    assert not (tmp_path / "masks.h5").exists()


@pytest.mark.parametrize(
    ("content", "message"), [(b"no picture", "is not an image"), (None, "4 x 5 .* pixels.*8 x 12")]
)
def test_a_bad_picture_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "pseudo_gt_mask_10.png"
    if content is None:
        Image.new("L", (5, 4)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(SscError, match=message):
        import_masks(refs(10), tmp_path, tmp_path / "masks.h5")
    assert not (tmp_path / "masks.h5").exists()


def test_refs_without_a_picture_are_told_from_black_ones(tmp_path: Path) -> None:
    for ref_id, masks in {10: disjoint(2), 11: disjoint(0)}.items():
        Image.fromarray(to_grey(masks)).save(tmp_path / f"pseudo_gt_mask_{ref_id}.png")
    assert import_masks(refs(10, 11, 12), tmp_path, tmp_path / "masks.h5") == {
        "refs with a black picture": ["ref 11 of 1.png"],
        "refs without a picture": ["ref 12 of 1.png"],
        "refs without a candidate": ["ref 11 of 1.png", "ref 12 of 1.png"],
    }
    store = MaskStore.open(tmp_path / "masks.h5")
    assert import_selection(refs(10, 11, 12), tmp_path, store, tmp_path / "chosen.h5") == {
        "refs without a picture": ["ref 12 of 1.png"],
        "refs without a choice": ["ref 11 of 1.png", "ref 12 of 1.png"],
    }


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA"])
def test_a_mask_is_the_same_in_every_kind_of_png(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(to_grey(disjoint(1))).convert(mode)
    picture.save(tmp_path / "pseudo_gt_mask_10.png")
    np.testing.assert_array_equal(read_png(tmp_path, 10, SIZE), disjoint(1))


def test_transparent_pixels_are_background(tmp_path: Path) -> None:
    alpha = np.zeros((*SIZE, 4), np.uint8)
    alpha[..., :3] = 255
    alpha[2:4, 2:4, 3] = 255
    Image.fromarray(alpha).save(tmp_path / "pseudo_gt_mask_10.png")
    assert read_png(tmp_path, 10, SIZE).sum() == 4


def test_a_link_out_of_the_folder_and_other_formats_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray(to_grey(disjoint(1))).save(tmp_path / "secret.png")
    (folder / "pseudo_gt_mask_10.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(SscError, match="link that leads out"):
        read_png(folder, 10, SIZE)
    Image.fromarray(to_grey(disjoint(1))).save(folder / "pseudo_gt_mask_11.png", format="TIFF")
    with pytest.raises(SscError, match="is a TIFF file; save it as PNG"):
        read_png(folder, 11, SIZE)


def test_too_many_candidates_for_a_grey_picture() -> None:
    with pytest.raises(SscError, match="256 candidates"):
        to_grey(np.zeros((256, 2, 2), bool))


def test_rle_boxes() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, 1:3, 2:5] = True
    assert rle.boxes(rle.encode(masks), (4, 6)).tolist() == [[2, 1, 3, 2], [0, 0, 0, 0]]


def imported(image: Image.Image, folder: Path) -> np.ndarray | None:
    image.save(folder / "pseudo_gt_mask_10.png")
    return read_png(folder, 10, SIZE)


def test_numbers_of_a_palette_and_wide_values_mean_nothing(tmp_path: Path) -> None:
    masks = disjoint(2)
    grey = to_grey(masks)
    numbers = np.where(masks[0], 1, np.where(masks[1], 0, 2)).astype(np.uint8)  # the brighter one is entry 0
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([255, 255, 255, 90, 0, 0, 0, 0, 0])
    wide = Image.fromarray(grey.astype(np.uint16) * 200)
    hidden = Image.fromarray(np.dstack([np.maximum(grey, 7)] * 3 + [255 * (grey > 0)]).astype(np.uint8))
    for name, image in (("grey", Image.fromarray(grey)), ("palette", palette), ("wide", wide), ("hidden", hidden)):
        np.testing.assert_array_equal(imported(image, tmp_path), masks, err_msg=name)


def test_a_picture_with_too_many_colours_is_refused(tmp_path: Path) -> None:
    many = np.arange(1, 301).reshape(15, 20).astype(np.uint16)
    Image.fromarray(many).save(tmp_path / "pseudo_gt_mask_10.png")
    with pytest.raises(SscError, match="has 300 colours"):
        read_png(tmp_path, 10, (15, 20))
