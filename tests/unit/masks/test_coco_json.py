from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ssc_core.errors import SscError
from ssc_core.files import write_json
from ssc_core.masks import MaskStore, SelectionStore, SelectionWriter
from ssc_core.masks.coco_json import coco_instances, write_fiftyone
from ssc_core.masks.exchange import annotated_images, open_masks
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
    write_json(tmp_path / "coco.json", coco_instances(annotated_images(store, TABLE), {5: "dog"}))
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
    content = coco_instances(annotated_images(store, TABLE), {})
    write_json(tmp_path / "coco.json", content)
    coco = COCO(str(tmp_path / "coco.json"))
    by_ref = {one["ref_id"]: one for one in coco.loadAnns(coco.getAnnIds())}
    assert sorted(by_ref) == [30, 70]  # the others have no choice
    assert by_ref[30]["sentences"] == ["c", "d"]
    np.testing.assert_array_equal(coco.annToMask(by_ref[70]).astype(bool), store.mask(70))


def test_fiftyone_layout(selected_h5: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for image_id in (3, 4, 7):
        Image.new("RGB", (12, 8)).save(photos / f"{image_id}.png")
    content = coco_instances(annotated_images(open_masks(selected_h5), TABLE), {})
    out = tmp_path / "out" / "dataset"
    write_fiftyone(content, photos, out)
    assert sorted(path.name for path in (out / "data").iterdir()) == ["3.png", "4.png", "7.png"]
    assert json.loads((out / "labels.json").read_text())["categories"]
    with pytest.raises(SscError, match="exists"):
        write_fiftyone(content, photos, out)


def test_fiftyone_leaves_nothing_behind_when_a_photo_is_missing(selected_h5: Path, tmp_path: Path) -> None:
    content = coco_instances(annotated_images(open_masks(selected_h5), TABLE), {})
    with pytest.raises(SscError, match=r"7\.png does not exist"):
        write_fiftyone(content, tmp_path / "nowhere", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_foreign_refs_are_named(masks_h5: Path, selected_h5: Path) -> None:
    with pytest.raises(SscError, match="photo 7"):
        coco_instances(annotated_images(open_masks(masks_h5), TABLE[2:]), {})
    with pytest.raises(SscError, match="ref 70"):
        coco_instances(annotated_images(open_masks(selected_h5), TABLE[2:]), {})


def test_a_file_of_another_kind_is_refused(photos, tmp_path: Path) -> None:
    boxes = photos.write(tmp_path / "boxes.h5", [3], with_masks=False)
    with pytest.raises(SscError, match="ssc-boxes"):
        open_masks(boxes)
