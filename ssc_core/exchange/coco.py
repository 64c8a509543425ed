"""COCO instances JSON, and the folder that FiftyOne reads as a COCO detection dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut
from ssc_core.exchange.folders import new_folder, place_photo
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames, check_size, entries, ref_ids_of, score_of, text_of
from ssc_core.files import read_json, write_json
from ssc_core.masks import rle
from ssc_core.refer.records import check_unique
from ssc_core.refer.segmentation import segmentation_to_rle


def write(export: Export, out: Path) -> None:
    """Write one JSON file. Sentences, refs and scores are attributes of the annotations."""
    write_json(out, coco_instances(export.images, export.categories))


def write_fiftyone(export: Export, out: Path) -> None:
    """Write ``out``/labels.json and ``out``/data/ with the photos: ``fiftyone.types.COCODetectionDataset``."""
    with new_folder(out) as folder:
        content = coco_instances(export.images, export.categories)
        for image in content["images"]:
            place_photo(export.photos, image["file_name"], folder / "data")
        write_json(folder / "labels.json", content)


def coco_instances(images: Iterable[AnnotatedImage], category_ids: Mapping[int, str]) -> dict[str, Any]:
    """The COCO instances dict of ``images``. Annotation ids count from 1 in order; masks are compressed RLEs.

    category_ids: id -> name of the dataset's classes; a class that is not among them gets an id after the highest.
    Raises SscError for a malformed RLE.
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


def read(
    path: Path, photos: Sequence[Photo], passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of a COCO instances file, polygons or run lengths. Refs: ``ref_id`` or ``ref_ids`` of an annotation."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise SscError(f"{path} is no COCO file: a dict with images, annotations and categories")
    categories, images = entries(content, "categories", path), entries(content, "images", path)
    check_unique((_id(one, "id", path) for one in categories), "category", path)
    check_unique((_id(one, "id", path) for one in images), "image", path)
    names = {_id(one, "id", path): text_of(one, "name", f"{path}: category") for one in categories}
    found = PhotoNames(photos)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for one in entries(content, "annotations", path):
        by_image.setdefault(_id(one, "image_id", path), []).append(one)
    for image in images:
        file = text_of(image, "file_name", f"{path}: image")
        annotations = by_image.pop(_id(image, "id", path), [])
        photo = found.find(file, passed_over)
        if photo is None:
            continue
        check_size(photo, (image.get("height"), image.get("width")), path)
        masks = []
        for one in annotations:
            where = f"{path}, annotation {one.get('id')!r:.40} of {file}"
            code = _code(one.get("segmentation"), photo, where)
            if code is None:
                passed_over.add("annotations without a mask", where)
                continue
            category = names.get(_id(one, "category_id", path), "")
            masks.append(ForeignMask(where, category, code, ref_ids_of(one, where), score_of(one.get("score"))))
        yield photo, masks
    for image_id, left in by_image.items():
        for one in left:
            passed_over.add(
                "annotations of photos that 'images' does not have", f"{one.get('id')!r:.40} of {image_id!r:.40}"
            )


def _id(entry: Mapping[str, Any], key: str, path: Path) -> int | str:
    value = entry.get(key)
    if not isinstance(value, int | str):
        raise SscError(f"{path}: {value!r:.40} is no {key}")
    return value


def _code(segmentation: Any, photo: Photo, where: str) -> bytes | None:
    if segmentation is not None and not isinstance(segmentation, list | dict):
        raise SscError(f"{where}: its segmentation is neither polygons nor run lengths")
    try:
        return segmentation_to_rle(segmentation, *photo.size, overlap_hole=False, notes=Counter())
    except SscError as error:
        raise SscError(f"{where}: {error}") from error
