"""Exports, read by libraries that are not ours, have the same pixels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ssc_core.checkout import HOME
from ssc_core.exchange.annotations import Export
from ssc_core.exchange.formats import FORMATS
from tests.unit.exchange.conftest import CATEGORIES, NAMES, SENTENCES, masks_of, shapes

READERS = HOME / ".venv-readers" / "bin" / "python"


def same(found: dict[str, np.ndarray]) -> None:
    """Whether the masks of both photos, in order, are what was written."""
    assert len(found) == len(NAMES)
    for image_id, (name, _) in NAMES.items():
        np.testing.assert_array_equal(np.asarray(found[name], bool), np.array(masks_of(image_id)), err_msg=name)


def test_pycocotools_reads_coco(export: Callable[..., Export], tmp_path: Path) -> None:
    FORMATS["coco"].write(export(), tmp_path / "out.json")
    coco = COCO(str(tmp_path / "out.json"))
    same({one["file_name"]: [coco.annToMask(a) for a in coco.imgToAnns[one["id"]]] for one in coco.imgs.values()})


def test_supervision_reads_what_is_written_for_fiftyone(export: Callable[..., Export], tmp_path: Path) -> None:
    sv = pytest.importorskip("supervision")
    FORMATS["fiftyone"].write(export(), tmp_path / "out")
    data = sv.DetectionDataset.from_coco(
        str(tmp_path / "out/data"), str(tmp_path / "out/labels.json"), force_masks=True
    )
    same({Path(path).relative_to(tmp_path / "out/data").as_posix(): found.mask for path, _, found in data})


def test_supervision_reads_labelme(export: Callable[..., Export], tmp_path: Path) -> None:
    sv = pytest.importorskip("supervision")
    FORMATS["labelme"].write(export(), tmp_path / "out")
    found = {}
    for name, _ in NAMES.values():  # it reads one folder, without sub-folders
        folder = (tmp_path / "out" / name).parent
        data = sv.DetectionDataset.from_labelme(str(folder), str(folder), force_masks=True)
        found |= {Path(path).relative_to(tmp_path / "out").as_posix(): one.mask for path, _, one in data}
    same(found)


def test_supervision_reads_yolo_and_what_it_cannot_hold_is_said(export: Callable[..., Export], tmp_path: Path) -> None:
    sv = pytest.importorskip("supervision")
    made = export()
    FORMATS["yolo"].write(made, tmp_path / "out")
    settings = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert settings == {"path": ".", "train": "images/train", "names": dict(enumerate(CATEGORIES.values()))}
    said = dict(
        line.split(": ") for line in made.left_out.names["exact pixels of masks in several parts, joined by lines"]
    )
    exact = 0
    for image_id, (name, _) in NAMES.items():
        folder = (tmp_path / "out/images/train" / name).parent
        labels = (tmp_path / "out/labels/train" / name).parent
        data = sv.DetectionDataset.from_yolo(
            str(folder), str(labels), str(tmp_path / "out/data.yaml"), force_masks=True
        )
        found = next(one for path, _, one in data if Path(path).name == Path(name).name)
        assert found.class_id.tolist() == [number % 2 for number in range(len(masks_of(image_id)))]
        for number, (mask, read) in enumerate(zip(masks_of(image_id), found.mask, strict=True)):
            wrong = int((mask != read).sum())
            assert f"{wrong} pixels" == said.get(f"mask {number} of {name}", "0 pixels")
            exact += wrong == 0
    several = {"parts", "island in a hole", "ragged"}
    assert exact == sum(map(len, map(masks_of, NAMES))) - len(said)
    assert len(said) == sum(
        name in several for image_id in NAMES for name in list(shapes(NAMES[image_id][1]))[image_id - 1 :: 2]
    )


@pytest.mark.parametrize("to_pixels", [np.trunc, np.round])
def test_opencv_fills_the_polygons_of_yolo(export: Callable[..., Export], tmp_path: Path, to_pixels: Callable) -> None:
    FORMATS["yolo"].write(export(), tmp_path / "out")
    for image_id, (name, (height, width)) in NAMES.items():
        lines = (tmp_path / "out/labels/train" / name).with_suffix(".txt").read_text().splitlines()
        for line, mask in zip(lines, masks_of(image_id), strict=True):
            points = np.array(line.split()[1:], float).reshape(-1, 2) * (width, height)
            read = cv2.fillPoly(np.zeros((height, width), np.uint8), [to_pixels(points).astype(np.int32)], 1)
            assert (read[mask] == 1).all()  # bridges between parts only add to a mask
            if cv2.connectedComponents(mask.astype(np.uint8))[0] == 2:
                np.testing.assert_array_equal(read, mask)


def test_pillow_fills_the_polygons_of_labelme(export: Callable[..., Export], tmp_path: Path) -> None:
    FORMATS["labelme"].write(export(), tmp_path / "out")
    found = {}
    for name, (height, width) in NAMES.values():
        content = json.loads((tmp_path / "out" / name).with_suffix(".json").read_text())
        groups: dict[int, np.ndarray] = {}
        for shape in content["shapes"]:
            picture = Image.new("L", (width, height))
            ImageDraw.Draw(picture).polygon([tuple(point) for point in shape["points"]], outline=1, fill=1)
            known = groups.setdefault(shape["group_id"], np.zeros((height, width), bool))
            known |= np.asarray(picture) > 0
        found[name] = np.array(list(groups.values()))
    same(found)


def test_a_mask_of_two_refs_is_one_line_of_yolo_and_equal_stems_are_named(
    export: Callable[..., Export], tmp_path: Path
) -> None:
    made = export()
    first, _ = list(made.images)
    twice = type(first)(1, first.file_name, first.size, [first.annotations[0]] * 2)
    other = type(first)(2, "beach day.png", first.size, [])
    made = Export([twice, other], made.store, CATEGORIES, "train", made.photos, made.left_out)
    FORMATS["yolo"].write(made, tmp_path / "o")
    assert len((tmp_path / "o/labels/train/beach day.txt").read_text().splitlines()) == 1
    assert {
        "masks that are the same as another of their class": ["mask 0 of beach day.jpg"],
        "photos whose beach day.txt is another's": ["beach day.png (beach day.jpg)"],
    }.items() <= made.left_out.names.items()
    assert (made.taken.photos, made.taken.masks, made.taken.keys) == (1, 1, {"score", "ref_ids"})


def test_datasets_reads_the_folder_of_hugging_face(
    export: Callable[..., Export], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    for kind in ("candidates", "choices"):
        FORMATS["hf"].write(export(kind), tmp_path / kind)
        data = datasets.load_dataset(str(tmp_path / kind), split="train", cache_dir=str(tmp_path / "cache"))
        rows = {row["file_name"]: row for row in data}
        for name, size in NAMES.values():
            assert rows[name]["image"].size == size[::-1]
        if kind == "candidates":
            same({name: [np.asarray(one["mask"]) > 0 for one in row["objects"]] for name, row in rows.items()})
        else:
            sentences = {one["ref_ids"][0]: tuple(one["sentences"]) for row in rows.values() for one in row["objects"]}
            assert sentences == SENTENCES


def test_pycocotools_reads_the_runs_of_cvat(export: Callable[..., Export], tmp_path: Path) -> None:
    FORMATS["cvat"].write(export("choices"), tmp_path / "out.xml")
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    texts = {}
    for image in root.iter("image"):
        image_id = int(image.get("id"))
        for mask, written in zip(image.iter("mask"), masks_of(image_id), strict=False):
            left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
            counts = [int(run) for run in mask.get("rle").split(",")]  # along rows: of the mask on its side
            turned = coco_mask.frPyObjects({"counts": counts, "size": [width, height]}, width, height)
            read = np.zeros_like(written)
            read[top : top + height, left : left + width] = coco_mask.decode(turned).T
            np.testing.assert_array_equal(read, written)
            values = {one.get("name"): one.text for one in mask.iter("attribute")}
            texts[int(values["refs"])] = tuple(values["sentences"].split(" | "))
    assert texts[10] == ("lady", "with a bar", 'the "second", <one>')
    assert texts[21] == SENTENCES[21]
    assert {one.text for one in root.iter("name") if one.text in CATEGORIES.values()} == set(CATEGORIES.values())


def test_label_studios_own_strokes_are_read_and_written_alike() -> None:
    """The bytes are what ``label_studio_sdk.converter.brush.mask2rle`` 2.1.2 makes of this mask."""
    from ssc_core.exchange.label_studio import packed, unpacked

    mask = shapes((23, 31))["holes"]
    theirs = json.loads((Path(__file__).parent / "label_studio_rle.json").read_text())
    assert packed(mask) == theirs["holes"]
    np.testing.assert_array_equal(unpacked(theirs["holes"], (23, 31), "here"), mask)
    # other values in a pixel's channels, none of which repeats: blocks of values as they are
    np.testing.assert_array_equal(unpacked(theirs["literal"], (1, 3), "here"), [[True, False, True]])


@pytest.mark.parametrize("name", ["label-studio", "cvat"])
def test_readers_of_their_own_environment(name: str, export: Callable[..., Export], tmp_path: Path) -> None:
    if not READERS.exists():
        pytest.skip("`make readers` installs datumaro and Label Studio's SDK, which ask for other versions than ours")
    out = tmp_path / f"out{FORMATS[name].suffix}"
    FORMATS[name].write(export(), out)
    (tmp_path / "images").symlink_to(tmp_path / "photos")  # where datumaro looks for them
    path = out / "tasks.json" if out.is_dir() else out
    script = Path(__file__).parent / "read_elsewhere.py"
    subprocess.run([READERS, script, name, path, tmp_path / "read.npz"], check=True, timeout=300, cwd=tmp_path)
    with np.load(tmp_path / "read.npz") as found:
        same({name: next(found[key] for key in found if name.startswith(key)) for name, _ in NAMES.values()})


def test_pillow_reads_png(export: Callable[..., Export], tmp_path: Path) -> None:
    made = export()
    FORMATS["png"].write(made, tmp_path / "out")
    for ref_id in made.store.ref_ids.tolist():
        levels = np.asarray(Image.open(tmp_path / f"out/pseudo_gt_mask_{ref_id}.png"))
        candidates = made.store.candidate_masks(ref_id)
        np.testing.assert_array_equal(levels > 0, candidates.any(axis=0))
        if len(candidates):
            np.testing.assert_array_equal(levels == 255, candidates[-1])
