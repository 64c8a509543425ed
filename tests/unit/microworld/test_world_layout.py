"""The written folders: REFER's keys and splits, COCO files that pycocotools reads, and concurrent writers."""

import contextlib
import io
import json
import pickle

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pydantic import ValidationError

from microworld.refer_layout import DATASETS, IMAGE_FOLDER, mask_polygons, split_scene, write_world
from ssc_core.config.world import SentenceMix, SplitImages, WorldSettings, of_dataset
from ssc_core.errors import SscError

SETTINGS = WorldSettings(images=SplitImages(train=8, val=5, testA=4, testB=4, test=5))
SPLITS = {
    "refcoco": {"train", "val", "testA", "testB"},
    "refcoco+": {"train", "val", "testA", "testB"},
    "refcocog_umd": {"train", "val", "test"},
    "refcocog_google": {"train", "val"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return folder, {dataset: write_world(folder, dataset, SETTINGS) for dataset in DATASETS}


def _refs(path):
    return pickle.loads(path.read_bytes())


def _coco(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path.with_name("instances.json")))


@pytest.mark.parametrize("dataset", DATASETS)
def test_refs_have_refers_keys_and_point_at_annotations(world, dataset):
    _, paths = world
    refs, coco = _refs(paths[dataset]), _coco(paths[dataset])
    assert {ref["split"] for ref in refs} == SPLITS[dataset]
    assert len({ref["ref_id"] for ref in refs}) == len(refs)
    for ref in refs:
        assert set(ref) == {
            "ref_id", "ann_id", "category_id", "image_id", "file_name", "split", "sentences", "sent_ids",
        }  # fmt: skip
        annotation = coco.anns[ref["ann_id"]]
        assert (annotation["image_id"], annotation["category_id"]) == (ref["image_id"], ref["category_id"])
        assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
        assert all(sentence["tokens"] == sentence["sent"].split() for sentence in ref["sentences"])


def test_images_are_counted_as_set(world):
    _, paths = world
    for dataset in DATASETS:
        images = {(ref["split"], ref["image_id"]) for ref in _refs(paths[dataset])}
        for split in SPLITS[dataset]:
            assert sum(s == split for s, _ in images) == getattr(SETTINGS.images, split)


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+"])
def test_test_a_is_people_and_test_b_is_not(world, dataset):
    _, paths = world
    for ref in _refs(paths[dataset]):
        assert ref["split"] not in ("testA", "testB") or (ref["category_id"] == 1) == (ref["split"] == "testA")


def test_images_and_polygons_show_the_scene(world):
    folder, paths = world
    coco = _coco(paths["refcoco"])
    for index in range(SETTINGS.images.train):
        scene = split_scene("refcoco", "train", index, ("refcoco", "refcoco+"), SETTINGS)
        record = coco.imgs[1_000_000 + index]
        photo = cv2.imread(str(folder / IMAGE_FOLDER / record["file_name"]))[..., ::-1]
        assert photo.shape == scene.image.shape == (record["height"], record["width"], 3)
        assert np.abs(photo.astype(int) - scene.image).mean() < 4
        for obj in scene.objects:
            annotation = coco.anns[record["id"] * 10 + obj.index]
            mask = coco.annToMask(annotation).astype(bool)
            assert (mask & obj.mask).sum() / (mask | obj.mask).sum() >= 0.95
            assert annotation["area"] == obj.area
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == obj.box


def test_polygons_of_parts_holes_and_single_pixels():
    mask = np.zeros((20, 24), bool)
    mask[2:14, 2:14] = True
    mask[5:11, 5:11] = False  # a hole
    mask[7:9, 7:9] = True  # an island in it
    mask[18, 22] = True
    from pycocotools import mask as coco_mask

    rles = coco_mask.frPyObjects(mask_polygons(mask), *mask.shape)
    assert np.array_equal(coco_mask.decode(coco_mask.merge(rles)).astype(bool), mask)


def test_categories_are_cocos_in_their_order(world):
    _, paths = world
    categories = json.loads(paths["refcoco"].with_name("instances.json").read_text())["categories"]
    ids = [category["id"] for category in categories]
    assert ids == sorted(ids)
    assert {"person": 1, "dog": 18, "teddy bear": 88}.items() <= {c["name"]: c["id"] for c in categories}.items()


def test_writing_again_with_two_workers_gives_the_same_bytes(world, tmp_path):
    folder, paths = world
    again = write_world(tmp_path, "refcoco", SETTINGS, workers=2)
    assert again.read_bytes() == paths["refcoco"].read_bytes()
    for photo in (tmp_path / IMAGE_FOLDER).iterdir():
        assert photo.read_bytes() == (folder / IMAGE_FOLDER / photo.name).read_bytes()


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+", "refcocog_umd"])
def test_settings_of_other_datasets_change_no_byte(world, tmp_path, dataset):
    own = of_dataset(SETTINGS.model_dump(mode="json"), dataset.removesuffix("_umd"))
    odd = SentenceMix(location=0.1, colour=0.2, noun=0, bare=0, relation=0, again=0).model_dump()
    others = {"images": {"testA": 1, "testB": 2, "test": 3}, "refcoco": odd, "refcoco_plus": odd, "refcocog": odd}
    mixed = WorldSettings.model_validate({**others, **own, "images": {**others["images"], **own["images"]}})
    again = write_world(tmp_path, dataset, mixed)
    assert again.read_bytes() == world[1][dataset].read_bytes()
    photos = {photo.name for photo in (tmp_path / IMAGE_FOLDER).iterdir()}
    assert len(photos) == sum(own["images"].values())
    assert all((tmp_path / IMAGE_FOLDER / n).read_bytes() == (world[0] / IMAGE_FOLDER / n).read_bytes() for n in photos)


def test_unknown_data_sets_are_refused_by_name(tmp_path):
    with pytest.raises(SscError, match="refclef"):
        write_world(tmp_path, "refclef", SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_objects": 5, "max_objects": 3}, "swap them"),
        ({"refcoco_plus": {"bare": 1.0}}, "bare"),
        ({"refcocog": dict.fromkeys(SentenceMix.model_fields, 0.0)}, "all sentence weights"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        WorldSettings(**change)
