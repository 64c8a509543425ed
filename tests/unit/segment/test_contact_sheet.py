from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.drawing import style
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import Instances, MaskStore, MaskStoreWriter
from ssc_core.report.contact_sheet import COLOURS, SIDE, draw_boxes, draw_masks, write_contact_sheet


def sheet(split, masks, name="sheet.jpg", **options):
    out = split.folder / name
    write_contact_sheet(
        refs=split.refs, nouns=split.nouns, masks=masks, images=split.images, split="train", out=out, **options
    )
    with Image.open(out) as image:
        assert image.format == "JPEG"
        return np.asarray(image).astype(int)


def shows(pixels, colour):
    """Whether some pixel has about this colour: JPEG keeps it within a few steps on flat ground."""
    return (np.abs(pixels - np.array(colour)).max(-1) < 12).any()


def test_a_row_a_photo_and_a_panel_more_a_ref(make_split):
    split = make_split([[["dog"], ["cat"], ["bird"]], [["dog"]], [[]]])
    masks = split.segment(split.detect())
    large, fewer_refs = sheet(split, masks), sheet(split, masks, refs_a_photo=1)
    fewer_photos = sheet(split, masks, photos=1)
    assert large.shape[1] - fewer_refs.shape[1] == pytest.approx(SIDE, abs=20)
    assert large.shape[1] > 4 * SIDE
    assert large.shape[0] - fewer_photos.shape[0] > 2 * SIDE * 24 / 32


def test_each_instance_has_its_colour_and_an_empty_photo_none(make_split):
    split = make_split([[["dog"], ["cat"]], [[]]])
    masks = split.segment(split.detect())
    pixels = sheet(split, masks)
    assert shows(pixels, COLOURS[0])
    assert shows(pixels, COLOURS[1])
    assert not shows(pixels, COLOURS[5])


def test_a_photo_that_is_gone_leaves_its_place_empty(make_split):
    split = make_split([[["dog"]], [["cat"]]])
    masks = split.segment(split.detect())
    whole = sheet(split, masks)
    (split.images / "1.png").unlink()
    assert sheet(split, masks).shape == whole.shape


def test_masks_of_other_rows_are_refused(make_split):
    split = make_split([[["dog"]]])
    moved = split.folder / "moved.h5"
    with MaskStoreWriter(moved, StoreInfo((), {}, "", {}, "f" * 16), with_masks=True):
        pass
    with pytest.raises(SscError, match=r"moved\.h5 is of other rows than .*refs\.parquet"):
        sheet(split, moved)


def test_a_split_without_any_box(make_split):
    split = make_split([[["dog"]]])
    from tests.unit.segment.conftest import fake

    masks = split.segment(split.detect(backend=fake("ColourDetector", classless=["dog"])))
    with MaskStore.open(masks) as store:
        assert len(store.instances(1)) == 0
    assert sheet(split, masks).shape[1] > 3 * SIDE


def test_boxes_are_scaled_with_the_photo():
    photo = np.full((100, 200, 3), 255, np.uint8)
    one = Instances(
        rows=np.array([0]),
        boxes_xyxy=np.array([[100, 40, 300, 160]], np.float32),
        box_scores=np.array([0.5], np.float32),
        labels=np.array([0]),
        mask_scores=np.array([0.9], np.float32),
    )
    drawn = draw_boxes(photo, (200, 400), one, ["dog"])
    assert tuple(drawn[79, 100]) == COLOURS[0]  # lower edge, at half the scale
    assert tuple(drawn[60, 149]) == COLOURS[0]  # right edge
    assert tuple(drawn[60, 100]) == (255, 255, 255)


@pytest.mark.parametrize("name", ["dog", "a class with a name that is far too long for the photo"])
def test_tags_at_the_border_are_whole(name):
    corners = [[0, 0, 20, 10], [380, 190, 400, 200], [-9, 150, 30, 260]]
    found = Instances(
        rows=np.arange(3),
        boxes_xyxy=np.array(corners, np.float32),
        box_scores=np.full(3, 0.5, np.float32),
        labels=np.zeros(3, int),
        mask_scores=np.ones(3, np.float32),
    )
    drawn = draw_boxes(np.full((100, 200, 3), 255, np.uint8), (200, 400), found, [name] * 3)
    for number in range(3):
        ys, xs = np.nonzero((drawn == COLOURS[number]).all(axis=2))
        assert ys.max() - ys.min() >= 14, "a tag's height"
        assert xs.max() - xs.min() >= 20, "the score's width"


def test_only_chosen_masks_are_coloured():
    photo = np.full((40, 60, 3), 128, np.uint8)
    soft = [np.zeros((40, 60), np.float32) for _ in range(2)]
    soft[0][10:30, 5:25], soft[1][10:30, 35:55] = 1, 1
    none, second = draw_masks(photo, soft, []), draw_masks(photo, soft, [1])
    assert (none[:, :30] == second[:, :30]).all()
    assert tuple(second[20, 36]) != tuple(none[20, 36])
    assert (none == none[0, 0]).all()


def test_letters_can_be_read_on_every_colour():
    assert {style.ink_on(colour) for colour in COLOURS} == {style.INK, style.PAPER}


def test_a_missing_file_is_an_error(make_split):
    split = make_split([[["dog"]]])
    with pytest.raises(SscError, match=r"none\.h5"):
        sheet(split, split.folder / "none.h5")
