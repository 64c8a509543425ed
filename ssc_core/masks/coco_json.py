"""Masks as COCO instances JSON, and as the folder that FiftyOne reads as a COCO detection dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.files import path_inside, write_json
from ssc_core.masks import rle
from ssc_core.masks.exchange import AnnotatedImage, LeftOut


def coco_instances(
    images: Iterable[AnnotatedImage], category_ids: Mapping[int, str], left_out: LeftOut | None = None
) -> dict[str, Any]:
    """The COCO instances dict of ``images``. Annotation ids count from 1 in order; masks are compressed RLEs.

    category_ids: id -> name of the dataset's classes; a class that is not among them gets an id after the highest.
    Empty masks, which COCO does not know, are left out and noted in ``left_out``. Raises SscError for a malformed RLE.
    """
    ids: dict[str, int] = {}
    for number, name in category_ids.items():
        ids.setdefault(name, number)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    for image in images:
        height, width = image.size
        content["images"].append({"id": image.image_id, "file_name": image.file_name, "height": height, "width": width})
        areas = rle.areas([one.rle for one in image.annotations], image.size)
        for one, area in zip(image.annotations, areas.tolist(), strict=True):
            if area == 0:
                if left_out is not None:
                    left_out.add("masks without a pixel", one.name)
                continue
            segmentation = {"size": [height, width], "counts": one.rle.decode("ascii")}
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image.image_id,
                    "category_id": ids.setdefault(one.category, max(ids.values(), default=0) + 1),
                    "segmentation": segmentation,
                    "bbox": coco.toBbox(segmentation).tolist(),
                    "area": area,
                    "iscrowd": 0,
                    **one.about,
                }
            )
    content["categories"] = [{"id": number, "name": name} for name, number in sorted(ids.items(), key=lambda i: i[1])]
    return content


def write_fiftyone(content: Mapping[str, Any], photos: Path, out: Path) -> None:
    """Write ``out``/labels.json and ``out``/data/ with the photos, linked where the drive can and copied where not.

    The layout is that of ``fiftyone.types.COCODetectionDataset``. The folder appears whole or not at all. Raises
    SscError when ``out`` exists, or a photo is missing or, by its name or as a link, outside of ``photos``.
    """
    out = Path(out)
    if out.exists():
        raise SscError(f"{out} exists; remove it, or choose another folder")
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        for image in content["images"]:
            name = image["file_name"]
            _place(path_inside(photos, name), path_inside(temporary / "data", name))
        write_json(temporary / "labels.json", content)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _place(photo: Path, target: Path) -> None:
    if not photo.is_file():
        raise SscError(f"{photo} does not exist; check the folder of the photos")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(photo.resolve(), target)
    except OSError:  # another drive, or one without links
        shutil.copy2(photo, target)
