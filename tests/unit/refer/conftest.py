"""A dataset of two photos and three refs in the REFER layout, small enough to check by hand."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssc_core.config.sources import DatasetSource
from ssc_core.files import write_json
from ssc_core.refer.index import IndexSummary, build_index

HEIGHT, WIDTH = 8, 10

IMAGES = [
    {"id": 1, "file_name": "one.png", "height": HEIGHT, "width": WIDTH},
    {"id": 2, "file_name": "two.png", "height": HEIGHT, "width": WIDTH},
]
ANNOTATIONS = [
    {"id": 11, "image_id": 2, "category_id": 3, "segmentation": [[2, 1, 6, 1, 6, 5, 2, 5]]},
    {"id": 12, "image_id": 1, "category_id": 4, "segmentation": []},
    {"id": 13, "image_id": 2, "category_id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [8, 8, 64]}},
]
CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}, {"id": 5, "name": "cow"}]


def _ref(ref_id: int, ann_id: int, image_id: int, category_id: int, split: str, *texts: str) -> dict[str, Any]:
    sentences = [
        {"sent_id": ref_id * 10 + i, "sent": text, "raw": text.upper(), "tokens": text.split()}
        for i, text in enumerate(texts)
    ]
    names = {"file_name": f"COCO_{image_id}_{ann_id}.jpg", "sent_ids": [s["sent_id"] for s in sentences]}
    ids = {"ref_id": ref_id, "ann_id": ann_id, "image_id": image_id, "category_id": category_id}
    return {**ids, **names, "split": split, "sentences": sentences}


REFS = [
    _ref(101, 11, 2, 3, "val", "left dog", "the big dog"),
    _ref(102, 12, 1, 4, "train", "cat"),
    _ref(103, 13, 2, 3, "val", "second column"),
]


@dataclass
class ReferFolder:
    """The tiny dataset; change its lists, then ``write``."""

    root: Path
    refs: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(REFS))
    images: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(IMAGES))
    annotations: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(ANNOTATIONS))
    categories: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(CATEGORIES))

    @property
    def refs_path(self) -> Path:
        return self.root / "tiny" / "refs(unc).p"

    @property
    def instances_path(self) -> Path:
        return self.root / "tiny" / "instances.json"

    @property
    def photos(self) -> Path:
        return self.root / "images" / "mscoco" / "images" / "train2014"

    @property
    def source(self) -> DatasetSource:
        return DatasetSource(layout="refer", root=self.root, name="tiny", split_by="unc")

    def write(self) -> ReferFolder:
        coco = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        write_json(self.instances_path, coco)
        self.refs_path.write_bytes(pickle.dumps(self.refs, protocol=2))
        self.photos.mkdir(parents=True, exist_ok=True)
        for image in IMAGES:
            Image.new("RGB", (WIDTH, HEIGHT), "green").save(self.photos / str(image["file_name"]))
        return self


@pytest.fixture
def refer_folder(tmp_path: Path) -> ReferFolder:
    return ReferFolder(tmp_path / "data").write()


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A user's photos: a.png and sub/b.png, 6 x 4 (height x width)."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        Image.fromarray(np.full((6, 4, 3), 90, np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def real_sample() -> Path:
    folder = Path(__file__).parents[3] / "../shared/real_sample"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: the sample of real data is not part of the project")
    return folder


class Index:
    """Builds into one folder."""

    def __init__(self, folder: Path) -> None:
        self.refs = folder / "refs.parquet"
        self.truth = folder / "truth.h5"

    def build(self, source: DatasetSource, *, check_counts: bool = False, **options: Any) -> IndexSummary:
        return build_index(
            dataset="mine",
            source=source,
            out_refs=self.refs,
            out_truth=self.truth,
            check_counts=check_counts,
            **options,
        )


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "results")
