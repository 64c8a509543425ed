"""Masks of other tools, and people's decisions: good files, and a reader of each, for ``targets``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ssc_core.exchange.annotations import AnnotatedImage, Annotation, LeftOut
from ssc_core.exchange.coco import coco_entries
from ssc_core.exchange.cvat import write_images
from ssc_core.exchange.foreign import Photo, PhotoNames
from ssc_core.exchange.formats import FORMATS
from ssc_core.exchange.label_studio import tasks_of
from ssc_core.exchange.labelme import content_of
from ssc_core.files import write_json
from ssc_core.masks import rle
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, that_count
from ssc_core.refer.ref import Ref

SIZE = (8, 12)


def _coco_content() -> dict[str, list[Any]]:
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    for key, entry in coco_entries([_image()], {1: "cat"}):
        content[key].append(entry)
    return content


def _image() -> AnnotatedImage:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 1:6, 2:9] = masks[1, 5:, :4] = True
    masks[0, 3, 4] = False
    codes = rle.encode(masks)
    abouts = ({"ref_ids": [1], "score": 0.5}, {"ref_ids": [1, 2], "score": 0.25})
    return AnnotatedImage(1, "a.jpg", SIZE, [Annotation("m", "cat", *pair) for pair in zip(codes, abouts, strict=True)])


def seeds(name: str) -> Callable[[Path], list[bytes]]:
    """A file of a format."""

    def made(folder: Path) -> list[bytes]:
        path = folder / "seed"
        if name == "cvat":
            write_images([_image()], ["cat"], path)
        else:
            contents = {
                "coco": _coco_content,
                "labelme": lambda: content_of(_image()),
                "label-studio": lambda: tasks_of([_image()]),
            }
            write_json(path, contents[name]())
        return [path.read_bytes()]

    return made


def reader(name: str) -> Callable[[Path], None]:
    """Reads a file of a format to its end, for a split of one photo."""
    refs = tuple(Ref(number, number, 1, "a.jpg", *SIZE, "train", 1, "cat", (number,), ("a",)) for number in (1, 2))
    photos = PhotoNames([Photo(1, "a.jpg", SIZE, refs)])

    def read(path: Path) -> None:
        if FORMATS[name].reads == "folder":
            folder = path.parent / "labels"
            folder.mkdir(exist_ok=True)
            path = path.rename(folder / path.name)
        for _, masks in FORMATS[name].read(
            path.parent if path.parent.name == "labels" else path, photos, LeftOut(), per_ref=False
        ):
            rle.check([one.rle for one in masks], SIZE)
            assert all(isinstance(one.category, str) for one in masks)
            assert all(0 <= ref < 2**63 for one in masks for ref in one.ref_ids)

    return read


def review_seeds(folder: Path) -> list[bytes]:
    path, when = folder / "reviews.csv", datetime(2026, 11, 26, tzinfo=UTC)
    code = _image().annotations[0].rle
    path.unlink(missing_ok=True)
    for ref_id, decision in enumerate(Decision):
        with_mask = decision in (Decision.chosen, Decision.drawn, Decision.uploaded)
        pair = (SIZE, code) if with_mask else (None, None)
        append_review(path, Review(ref_id // 2, 'a, "b".jpg', decision, *pair, "ana", when))
    return [path.read_bytes()]


def read_review_file(path: Path) -> None:
    for review in that_count(read_lines(path)).values():
        review.mask()
