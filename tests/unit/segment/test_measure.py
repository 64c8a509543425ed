from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.labelling import DetectSettings, SegmentSettings
from ssc_core.errors import SscError
from ssc_core.segment.measure import measure_candidates
from tests.unit.segment.conftest import fake

SQUARE = [[0, 2, 10, 2, 10, 12, 0, 12]]  # what ColourDetector and FilledBoxes find for the first class of a black photo


def annotation(image_id: int, category_id: int, polygons: list, **more) -> dict:
    return {"image_id": image_id, "category_id": category_id, "segmentation": polygons, "iscrowd": 0, **more}


def measure(folder, annotations: list[dict], names=("dog", "cat")):
    for i in (1, 2):
        Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(folder / f"{i}.png")
    images = [{"id": i, "file_name": f"{i}.png", "height": 24, "width": 32} for i in (1, 2)]
    categories = [{"id": number, "name": name} for number, name in zip((7, 3), names, strict=True)]
    file = folder / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return measure_candidates(
        annotations=file,
        images=folder,
        detect=DetectSettings(backend=fake("ColourDetector")),
        segment=SegmentSettings(backend=fake("FilledBoxes")),
        device="cpu",
    )


def test_the_best_mask_of_an_objects_own_class_counts(tmp_path):
    half = [[0, 2, 10, 2, 10, 7, 0, 7]]
    found = measure(tmp_path, [annotation(1, 7, SQUARE), annotation(1, 7, half), annotation(2, 3, SQUARE)])
    assert found.ious.tolist() == [1, 0.5, 1]
    assert found.areas.tolist() == [100, 50, 100]
    assert found.of_size(60, np.inf).tolist() == [1, 1]
    assert found.of_size(50, 100).tolist() == [0.5], "from 50 on, below 100"


def test_a_mask_of_another_class_does_not_count(tmp_path):
    elsewhere = [[20, 15, 30, 15, 30, 20, 20, 20]]
    found = measure(tmp_path, [annotation(1, 7, elsewhere), annotation(1, 3, SQUARE)])
    assert found.ious[0] == 0
    assert found.ious[1] == pytest.approx(60 / 140)  # the cat's box is 4 pixels to the right


def test_crowds_and_photos_without_objects_are_left_out(tmp_path):
    found = measure(tmp_path, [annotation(1, 7, SQUARE), annotation(2, 7, SQUARE, iscrowd=1)])
    assert len(found.ious) == 1


def test_objects_without_a_mask_are_left_out(tmp_path):
    boxed = annotation(2, 7, [], bbox=[0, 0, 5, 5])
    del boxed["segmentation"]
    assert measure(tmp_path, [annotation(1, 7, SQUARE), boxed]).ious.tolist() == [1]


def test_categories_that_are_called_alike_are_one_class(tmp_path):
    found = measure(tmp_path, [annotation(1, 7, SQUARE), annotation(2, 3, SQUARE)], names=("dog", "dog"))
    assert found.ious.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (annotation(1, 9, SQUARE), "no COCO instances file: it lacks 9"),
        (annotation(1, 7, [[0, "x"]]), r"instances\.json, an annotation of 1\.png: a polygon is no list of numbers"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, wrong, message):
    with pytest.raises(SscError, match=message):
        measure(tmp_path, [wrong])


def test_another_file_is_an_error(tmp_path):
    (tmp_path / "instances.json").write_text("{}")
    detect, segment = (DetectSettings(backend=fake("ColourDetector")), SegmentSettings(backend=fake("FilledBoxes")))
    with pytest.raises(SscError, match="no COCO instances file"):
        measure_candidates(
            annotations=tmp_path / "instances.json", images=tmp_path, detect=detect, segment=segment, device="cpu"
        )
