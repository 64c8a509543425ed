"""COCO instances JSON, and the folder that FiftyOne reads as a COCO detection dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut
from ssc_core.exchange.foreign import (
    ForeignMask,
    Photo,
    PhotoNames,
    check_size,
    entries,
    ref_ids_of,
    score_of,
    sentences_of,
    text_of,
)
from ssc_core.exchange.formats import are_results
from ssc_core.files import read_json, write_json_lists
from ssc_core.folders import new_folder, place_photo
from ssc_core.masks import rle
from ssc_core.refer.records import check_unique
from ssc_core.refer.segmentation import segmentation_to_rle

_KEYS = ("images", "annotations", "categories")


def write(export: Export, out: Path) -> None:
    """Write one JSON file. Sentences, refs and scores are attributes of the annotations."""
    write_json_lists(out, _KEYS, coco_entries(export.all_images(), export.categories))


def write_fiftyone(export: Export, out: Path) -> None:
    """Write ``out``/labels.json and ``out``/data/ with the photos: ``fiftyone.types.COCODetectionDataset``."""
    with new_folder(out) as folder:

        def placed(entries: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
            for key, entry in entries:
                if key == "images":
                    place_photo(export.photos, entry["file_name"], folder / "data")
                yield key, entry

        write_json_lists(folder / "labels.json", _KEYS, placed(coco_entries(export.all_images(), export.categories)))


def coco_entries(
    images: Iterable[AnnotatedImage], category_ids: Mapping[int, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a COCO instances file, each with its list's key: images, annotations, and at last categories.

    Annotation ids count from 1 in order; masks are compressed RLEs. category_ids: id -> name of the dataset's classes;
    a class that is not among them gets an id after the highest. Raises SscError for a malformed RLE.
    """
    ids: dict[str, int] = {}
    for number, name in category_ids.items():
        ids.setdefault(name, number)
    highest, annotations = max(ids.values(), default=0), count(1)
    for image in images:
        height, width = image.size
        yield "images", {"id": image.image_id, "file_name": image.file_name, "height": height, "width": width}
        codes = [one.rle for one in image.annotations]
        areas, boxes = rle.areas(codes, image.size).tolist(), rle.boxes(codes, image.size).tolist()
        for one, area, box in zip(image.annotations, areas, boxes, strict=True):
            if one.category not in ids:
                highest += 1
                ids[one.category] = highest
            yield (
                "annotations",
                {
                    "id": next(annotations),
                    "image_id": image.image_id,
                    "category_id": ids[one.category],
                    "segmentation": {"size": [height, width], "counts": one.rle.decode("ascii")},
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                    **one.about,
                },
            )
    for name, number in sorted(ids.items(), key=lambda item: item[1]):
        yield "categories", {"id": number, "name": name}


def read(
    path: Path, photos: PhotoNames, passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of a COCO instances file, polygons or run lengths. Refs: ``ref_id`` or ``ref_ids`` of an annotation."""
    content = read_json(path)
    if are_results(content):
        raise SscError(
            f"{path} is a list of COCO results, which does not say which photos they are of: write a file with that "
            "list as 'annotations', and with 'images' and 'categories' of the file that the results were made for"
        )
    if not isinstance(content, dict):
        raise SscError(f"{path} is no COCO file: a dict with images, annotations and categories")
    categories, images = entries(content, "categories", path), entries(content, "images", path)
    check_unique((_id(one, "id", path) for one in categories), "category", path)
    check_unique((_id(one, "id", path) for one in images), "image", path)
    names = {_id(one, "id", path): text_of(one, "name", f"{path}: category") for one in categories}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for one in entries(content, "annotations", path):
        by_image.setdefault(_id(one, "image_id", path), []).append(one)
    for image in images:
        file = text_of(image, "file_name", f"{path}: image")
        annotations = by_image.pop(_id(image, "id", path), [])
        photo = photos.find(file, passed_over)
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
            masks.append(
                ForeignMask(
                    where, category, code, ref_ids_of(one, where), sentences_of(one), score_of(one.get("score"))
                )
            )
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
