from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from ssc_core.predict.outputs import OutputWriter, Prediction


def prediction(image: str, sentence: str = "dog") -> Prediction:
    mask = np.zeros((20, 30), bool)
    mask[5:10, 3:9] = True
    return Prediction(image, sentence, np.full((20, 30, 3), 90, np.uint8), mask, {"score": 1.5})


def test_pictures_and_json(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path, ("overlay", "mask", "rle"))
    for one in (prediction("a.jpg"), prediction("a.png"), prediction("sub/b.jpg")):
        writer.add(one)
    rows = json.loads(writer.close().read_text())
    assert [row["files"][1] for row in rows] == ["a_1.mask.png", "a_2.mask.png", "sub/b_1.mask.png"]
    written = np.asarray(Image.open(tmp_path / "a_1.mask.png"))
    np.testing.assert_array_equal(written, prediction("").mask * np.uint8(255))
    np.testing.assert_array_equal(coco.decode(rows[0]["segmentation"]).astype(bool), prediction("").mask)
    assert (rows[0]["bbox"], rows[0]["area"], rows[0]["score"]) == ([3, 5, 6, 5], 30, 1.5)
    assert Image.open(tmp_path / "sub/b_1.overlay.png").width == 480


def test_only_what_is_wanted(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path, ("mask",))
    assert [path.name for path in writer.add(prediction("a.jpg"))] == ["a_1.mask.png"]
    assert writer.close() is None
    assert [path.name for path in tmp_path.iterdir()] == ["a_1.mask.png"]
