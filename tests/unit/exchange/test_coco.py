from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut, annotated_images, open_masks
from ssc_core.exchange.coco import coco_entries, write_fiftyone
from ssc_core.exchange.formats import FORMATS
from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.selection import SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import refs_by_image
from tests.unit.masks.conftest import INFO

TABLE = pd.DataFrame(
    {
        "image_id": [7, 7, 3, 3, 3, 4, 4],
        "file_name": [f"{i}.png" for i in (7, 7, 3, 3, 3, 4, 4)],
        "ref_id": [70, 71, 30, 30, 31, 40, 41],
        "category": ["dog", "", "cat", "cat", "zebra", "cat", "dog"],
        "sentence": ["a", "b", "c", "d", "e", "f", "g"],
    }
)


def by_photo(store: MaskStore | SelectionStore, table: pd.DataFrame = TABLE) -> list[tuple[int, tuple[Ref, ...]]]:
    """The photos of a store with their refs, as ``refs_by_photo`` reads them."""
    others = {"ann_id": 0, "height": 8, "width": 12, "split": "train", "category_id": 0, "sent_id": 0}
    refs = refs_by_image(table.assign(**others))
    return [(image_id, refs.get(image_id, ())) for image_id in store.image_ids.tolist()]


def coco_instances(images: Iterable[AnnotatedImage], classes: dict[int, str]) -> dict[str, Any]:
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    for key, entry in coco_entries(images, classes):
        content[key].append(entry)
    return content


@pytest.fixture
def selected_h5(masks_h5: Path, tmp_path: Path) -> Path:
    masks = MaskStore.open(masks_h5)
    with SelectionWriter(tmp_path / "selected.h5", INFO) as writer:
        for ref_id in masks.ref_ids.tolist():
            rows = masks.candidates(ref_id).rows[:1].tolist() or [-1]
            rles = masks.rles(rows) if rows != [-1] else [None]
            writer.append_ref(
                ref_id,
                image_id=masks.image_of(ref_id),
                size=masks.image_size(masks.image_of(ref_id)),
                chosen=rows,
                scores=np.zeros((1, len(masks.candidates(ref_id)))),
                rles=rles,
            )
    return tmp_path / "selected.h5"


def test_pycocotools_reads_the_candidates(photos, masks_h5: Path, tmp_path: Path, capsys) -> None:
    store = open_masks(masks_h5)
    write_json(tmp_path / "coco.json", coco_instances(annotated_images(store, by_photo(store)), {5: "dog"}))
    coco = COCO(str(tmp_path / "coco.json"))
    assert sorted(coco.getImgIds()) == [3, 4, 7]
    assert {c["name"]: c["id"] for c in coco.loadCats(coco.getCatIds())} == {"dog": 5, "cat": 6}
    for image_id in (7, 3, 4):
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        masks = [coco.annToMask(one).astype(bool) for one in annotations]
        np.testing.assert_array_equal(np.array(masks).reshape(-1, *photos.size), photos.masks(image_id))
        assert [one["area"] for one in annotations] == photos.masks(image_id).sum(axis=(1, 2)).tolist()
        assert all(one["ref_ids"] == [10 * image_id] for one in annotations)


def test_pycocotools_reads_the_selection(selected_h5: Path, tmp_path: Path, capsys) -> None:
    store = open_masks(selected_h5)
    assert isinstance(store, SelectionStore)
    content = coco_instances(annotated_images(store, by_photo(store)), {})
    write_json(tmp_path / "coco.json", content)
    coco = COCO(str(tmp_path / "coco.json"))
    by_ref = {one["ref_id"]: one for one in coco.loadAnns(coco.getAnnIds())}
    assert sorted(by_ref) == [30, 70]  # the others have no choice
    assert by_ref[30]["sentences"] == ["c", "d"]
    np.testing.assert_array_equal(coco.annToMask(by_ref[70]).astype(bool), store.mask(70))


def test_own_tables_get_the_class_that_a_choice_was_found_as(masks_h5: Path, tmp_path: Path) -> None:
    masks, table = MaskStore.open(masks_h5), TABLE.assign(category="")
    wanted = {70: "cat", 30: "dog"}
    with SelectionWriter(tmp_path / "selected.h5", INFO) as writer:
        for ref_id, name in wanted.items():
            found = masks.candidates(ref_id)
            row = int(found.rows[found.labels == INFO.class_names.index(name)][0])
            values = {"image_id": ref_id // 10, "size": (8, 12), "scores": np.zeros((1, len(found)))}
            writer.append_ref(ref_id, **values, chosen=[row], rles=masks.rles([row]))
    store = open_masks(tmp_path / "selected.h5")
    classes = dict(enumerate(INFO.class_names, start=1))
    content = coco_instances(annotated_images(store, by_photo(store, table), candidates=masks), classes)
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert {one["ref_id"]: classes[one["category_id"]] for one in content["annotations"]} == wanted
    alone = coco_instances(annotated_images(store, by_photo(store, table)), {})
    assert [one["name"] for one in alone["categories"]] == ["object"]


def test_what_a_person_drew_or_uploaded_has_the_class_of_the_candidate_that_it_lies_on(
    masks_h5: Path, tmp_path: Path
) -> None:
    masks, drawn = MaskStore.open(masks_h5), {}
    with SelectionWriter(tmp_path / "selected.h5", INFO) as writer:
        for ref_id, name in {70: "cat", 30: "dog", 41: "object"}.items():  # 41 has no candidate
            found, size = masks.candidates(ref_id), masks.image_size(ref_id // 10)
            own = np.zeros(size, bool)
            if name != "object":
                row = int(found.rows[found.labels == INFO.class_names.index(name)][0])
                own = rle.decode(masks.rles([row]), size)[0].astype(bool)
            own[0, 0] ^= True  # as drawn by hand: like a candidate, and none
            drawn[ref_id] = (name, rle.encode(own[None])[0])
            scores = np.zeros((1, len(found)))
            writer.append_ref(
                ref_id, image_id=ref_id // 10, size=size, chosen=[DRAWN], scores=scores, rles=[drawn[ref_id][1]]
            )
    store = open_masks(tmp_path / "selected.h5")
    images = annotated_images(store, by_photo(store, TABLE.assign(category="")), candidates=masks)
    found = {one.about["ref_id"]: (one.category, one.rle) for image in images for one in image.annotations}
    assert found == drawn
    own = annotated_images(store, by_photo(store), candidates=masks)
    assert {one.about["ref_id"]: one.category for image in own for one in image.annotations}[30] == "cat", "the table's"


def test_a_choice_from_other_masks_is_named(photos, selected_h5: Path, tmp_path: Path) -> None:
    other, store = MaskStore.open(photos.write(tmp_path / "other.h5", [4, 3, 7])), open_masks(selected_h5)
    with pytest.raises(SscError, match=r"ref 70 of 7\.png: its choice is no candidate"):
        list(annotated_images(store, by_photo(store, TABLE.assign(category="")), candidates=other))


def test_what_is_left_out_is_named(masks_h5: Path, selected_h5: Path) -> None:
    left_out, store = LeftOut(), open_masks(selected_h5)
    list(annotated_images(store, by_photo(store), left_out=left_out))
    assert left_out.names == {
        "refs without a choice": ["ref 71 of 7.png", "ref 31 of 3.png", "ref 40 of 4.png", "ref 41 of 4.png"]
    }
    left_out, store = LeftOut(), open_masks(masks_h5)
    list(annotated_images(store, by_photo(store), left_out=left_out))
    assert left_out.names["refs without a candidate"][0] == "ref 71 of 7.png"
    assert LeftOut({"why": [str(i) for i in range(30)]}).lines() == [
        f"why: 30 ({', '.join(map(str, range(20)))}, and 10 more)"
    ]


def test_empty_masks_are_left_out_by_name(tmp_path: Path) -> None:
    masks = np.zeros((2, 8, 12), bool)
    masks[0, 2:4] = True
    with MaskStoreWriter(tmp_path / "masks.h5", INFO, with_masks=True) as writer:
        writer.append_image(
            3,
            (8, 12),
            boxes_xyxy=np.zeros((2, 4)),
            box_scores=np.array([0.25, 0.5]),
            labels=np.zeros(2, int),
            rles=rle.encode(masks),
            mask_scores=np.ones(2),
            candidates={30: [0, 1], 31: [0]},
        )
    left_out = LeftOut()
    store = MaskStore.open(tmp_path / "masks.h5", with_masks=True)
    content = coco_instances(annotated_images(store, by_photo(store), left_out=left_out), {})
    assert [one["score"] for one in content["annotations"]] == [0.25]
    assert left_out.names == {"masks without a pixel": ["mask 2 of 3.png"]}


@pytest.mark.parametrize("name", ["../3.png", "/etc/3.png", "a/../../3.png"])
def test_names_that_leave_the_folder_are_refused(selected_h5: Path, name: str) -> None:
    store = open_masks(selected_h5)
    with pytest.raises(SscError, match="inside the images folder"):
        list(annotated_images(store, by_photo(store, TABLE.assign(file_name=name))))


def fiftyone(store: MaskStore | SelectionStore, images: Iterable[AnnotatedImage], photos: Path) -> Export:
    return Export(images, store, {}, "train", photos, LeftOut())


@pytest.mark.parametrize("name", ["../secret.png", "link.png", "linked/secret.png", "{tmp_path}/secret.png"])
@pytest.mark.parametrize("form", [name for name, one in FORMATS.items() if one.photos])
def test_exports_take_no_file_from_outside_the_photos(selected_h5: Path, tmp_path: Path, name: str, form: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    (photos / "linked").symlink_to(tmp_path)
    image = AnnotatedImage(1, name.format(tmp_path=tmp_path), (8, 12), [])
    with pytest.raises(SscError, match="not inside"):
        FORMATS[form].write(fiftyone(open_masks(selected_h5), [image], photos), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_photos_in_a_folder_that_is_a_link_itself(selected_h5: Path, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    Image.new("RGB", (12, 8)).save(tmp_path / "drive/3.png")
    (tmp_path / "photos").symlink_to(tmp_path / "drive")
    image = AnnotatedImage(3, "3.png", (8, 12), [])
    write_fiftyone(fiftyone(open_masks(selected_h5), [image], tmp_path / "photos"), tmp_path / "out")
    exported, original = tmp_path / "out/data/3.png", tmp_path / "drive/3.png"
    with exported.open("r+b") as file:  # as a tool that mends photos in place
        file.write(b"mended")
    assert not original.read_bytes().startswith(b"mended")


def test_fiftyone_layout(selected_h5: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for image_id in (3, 4, 7):
        Image.new("RGB", (12, 8)).save(photos / f"{image_id}.png")
    store, out = open_masks(selected_h5), tmp_path / "out" / "dataset"
    write_fiftyone(fiftyone(store, annotated_images(store, by_photo(store)), photos), out)
    assert sorted(path.name for path in (out / "data").iterdir()) == ["3.png", "4.png", "7.png"]
    assert json.loads((out / "labels.json").read_text())["categories"]
    with pytest.raises(SscError, match="exists"):
        write_fiftyone(fiftyone(store, annotated_images(store, by_photo(store)), photos), out)


def test_fiftyone_leaves_nothing_behind_when_a_photo_is_missing(selected_h5: Path, tmp_path: Path) -> None:
    store = open_masks(selected_h5)
    with pytest.raises(SscError, match=r"7\.png does not exist"):
        write_fiftyone(
            fiftyone(store, annotated_images(store, by_photo(store)), tmp_path / "nowhere"), tmp_path / "out"
        )
    assert not list(tmp_path.glob("out*"))


def test_foreign_refs_are_named(masks_h5: Path, selected_h5: Path) -> None:
    for store in (open_masks(masks_h5), open_masks(selected_h5)):
        with pytest.raises(SscError, match="photo 7"):
            coco_instances(annotated_images(store, by_photo(store, TABLE[2:])), {})
    with pytest.raises(SscError, match="ref 70"):
        coco_instances(annotated_images(store, by_photo(store, TABLE[1:])), {})


def test_a_file_of_another_kind_is_refused(photos, tmp_path: Path) -> None:
    boxes = photos.write(tmp_path / "boxes.h5", [3], with_masks=False)
    with pytest.raises(SscError, match="ssc-boxes"):
        open_masks(boxes)
