"""``ssc`` as a user runs it, in a folder of the user's own: no paths of the checkout, real models, pictures out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pycocotools import mask as coco

from microworld.scenes import Scene, generate_scene, scene_seed
from ssc_core.cli.config_files import read_config
from ssc_core.config.world import WorldSettings

TOYS = "--allow-toy-models"
"""The pictures are of the micro world, but do not lie in it; the real sample has no encoder that knows photos."""


def decoded(row: dict) -> np.ndarray:
    return coco.decode(row["segmentation"]).astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def scene_with_a_lone_object() -> tuple[Scene, int]:
    """A scene of no split, and a large object that is the only one of its class."""
    settings = WorldSettings()
    for index in range(100):
        scene = generate_scene(scene_seed(settings.seed, "tests", index), settings)
        names = [one.category for one in scene.objects]
        for number, name in enumerate(names):
            if names.count(name) == 1 and scene.objects[number].area > 800:
                return scene, number
    raise AssertionError("no such scene among the first 100")


def test_zero_shot_on_a_micro_picture(ssc, tmp_path: Path) -> None:
    scene, number = scene_with_a_lone_object()
    target = scene.objects[number]
    Image.fromarray(scene.image).save(tmp_path / "scene.png")
    out = ssc(
        tmp_path, "predict", "scene.png", f"the {target.noun}", "--zero-shot", "--out", "out", "--threads", 1, TOYS
    )
    (row,) = json.loads((tmp_path / "out/predictions.json").read_text())
    assert row["class"] == target.category
    assert iou(decoded(row), target.mask) > 0.5, out
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/scene_1.mask.png")) > 0, decoded(row))
    assert Image.open(tmp_path / "out/scene_1.overlay.png").size[0] >= 480


def test_a_checkpoint_that_names_the_micro_bert_works_from_any_folder(ssc, tmp_path: Path) -> None:
    from ssc_core.correct.checkpoints import save_checkpoint
    from ssc_core.correct.start import build_segmenter

    network = read_config().network.model_dump(mode="json")  # relative paths, as training saves them
    torch.manual_seed(0)
    built = build_segmenter(read_config(find_models=True).network, pretrained=False)
    save_checkpoint(tmp_path / "network.pt", built, {"network": network}, {})
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3)).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "refs.csv").write_text("image,sentences\na.png,dog|red dog\nb.png,cat\n")
    ssc(tmp_path, "predict", ".", "refs.csv", "--checkpoint", "network.pt", "--save", "rle", "--threads", 1, TOYS)
    rows = json.loads((tmp_path / "predictions/predictions.json").read_text())
    assert [(row["image"], row["sentence"]) for row in rows] == [
        ("a.png", "dog"),
        ("a.png", "red dog"),
        ("b.png", "cat"),
    ]
    assert {decoded(row).shape for row in rows} == {(40, 60)}
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["predictions.json"]

    scene, number = scene_with_a_lone_object()
    target = scene.objects[number]
    Image.fromarray(scene.image).save(tmp_path / "scene.png")
    options = ("--checkpoint", "network.pt", "--snap", "--save", "rle", "--out", "snapped", "--threads", 1, TOYS)
    ssc(tmp_path, "predict", "scene.png", f"the {target.noun}", *options)
    (row,) = json.loads((tmp_path / "snapped/predictions.json").read_text())
    assert row["candidates"] >= 1
    assert iou(decoded(row), target.mask) > 0.5, "the outlines are Segment's, whatever an untrained network sees"


def test_zero_shot_on_a_photo_with_real_models(ssc, real_sample: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file = real_sample / "onnx_backends.py"
    config = {
        "detect": {"backend": {"name": f"{file}:YoloxNanoDetector"}},
        "segment": {"backend": {"name": f"{file}:MobileSamSegmenter"}},
        "select": {"min_area": 500},
    }
    (tmp_path / "real.yaml").write_text(yaml.safe_dump(config))
    photo = real_sample / "images/mscoco/images/train2014/COCO_train2014_000000000025.jpg"
    ssc(
        tmp_path,
        *("predict", photo, "a giraffe", "--zero-shot", "--config", "real.yaml", "--save", "rle", "--threads", 1, TOYS),
    )
    (row,) = json.loads((tmp_path / "predictions/predictions.json").read_text())
    annotations = json.loads((real_sample / "refcoco/instances.json").read_text())["annotations"]
    truths = [_union(one["segmentation"], decoded(row).shape) for one in annotations if one["image_id"] == 25]
    assert max(iou(decoded(row), truth) for truth in truths) > 0.6


def _union(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    from ssc_core.refer.segmentation import segmentation_to_rle

    counts = segmentation_to_rle(segmentation, *size, overlap_hole=False, notes=Counter())
    return coco.decode({"size": list(size), "counts": counts}).astype(bool)
