"""LabelMe: a JSON file beside every photo, with polygons. Parts of one mask share a ``group_id``; holes are bridged.

A mask's refs and sentences are its ``description``.
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut, note_of, refs_in, sentences_in
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames, check_size, differ, entries, text_of
from ssc_core.exchange.outlines import INSIDE, filled, rings
from ssc_core.files import path_inside, read_json
from ssc_core.folders import new_folder, place_photo
from ssc_core.masks import rle
from ssc_core.masks.runs import Size
from ssc_core.pictures import read_levels
from ssc_core.refer.segmentation import check_units, clip_polygon

_VERSION = "5.5.0"
_MOST_POINTS, _FARTHEST = 2**20, 1e6


def write(export: Export, out: Path) -> None:
    """Write the folder: photos, and a JSON file beside each."""
    with new_folder(out) as folder:
        for label, image in export.images_by_label(".json"):
            place_photo(export.photos, image.file_name, folder)
            path = path_inside(folder, label)
            path.write_text(json.dumps(content_of(image), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def content_of(image: AnnotatedImage) -> dict[str, Any]:
    """The JSON of a photo."""
    shapes = []
    for number, one in enumerate(image.annotations, start=1):
        for ring in rings(rle.decode([one.rle], image.size)[0]):
            shapes.append(
                {
                    "label": one.category,
                    "points": (ring + INSIDE).tolist(),
                    "group_id": number,
                    "description": note_of(one.about),
                    "shape_type": "polygon",
                    "flags": {},
                    "mask": None,
                }
            )
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": PurePosixPath(image.file_name).name,
        "imageData": None,
        "imageHeight": image.size[0],
        "imageWidth": image.size[1],
    }


def read(
    path: Path, photos: PhotoNames, passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of a folder of LabelMe files, with its sub-folders: polygons and masks; other shapes are passed over."""
    files = sorted(Path(path).rglob("*.json"))
    if not files:
        raise SscError(f"{path} has no .json file; LabelMe writes one for each photo")
    for file in files:
        content = read_json(file)
        if not isinstance(content, dict) or "shapes" not in content:
            raise SscError(f"{file} is no LabelMe file: it has no 'shapes'")
        folder, name = file.relative_to(path).parent, text_of(content, "imagePath", file)
        last = [PurePosixPath(one).name for one in (name, name.replace("\\", "/"))]  # of Linux, of Windows
        inside, *others = ((folder / one).as_posix() for one in last)
        photo = photos.find(inside, passed_over, *others)
        if photo is not None:
            check_size(photo, (content.get("imageHeight"), content.get("imageWidth")), file)
            yield photo, _masks(entries(content, "shapes", file), photo, file, passed_over)


def _masks(shapes: list[dict[str, Any]], photo: Photo, file: Path, passed_over: LeftOut) -> list[ForeignMask]:
    groups: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
    for number, shape in enumerate(shapes, start=1):
        where = f"{file}, shape {number}"
        if shape.get("shape_type") not in ("polygon", "mask"):
            passed_over.add("shapes that are neither polygons nor masks", where)
            continue
        group = shape.get("group_id")
        if group is not None and type(group) is not int:
            raise SscError(f"{where}: its group_id {group!r:.40} is no whole number")
        label = text_of(shape, "label", where)
        groups.setdefault(number / 2 if group is None else (group, label), []).append((where, shape))
    found = []
    for parts in groups.values():
        where, first = parts[0]
        if differ((refs_in(shape.get("description")) for _, shape in parts), where, passed_over):
            continue
        codes = [rle.encode(_part(shape, photo.size, name)[None])[0] for name, shape in parts]
        note = next((shape["description"] for _, shape in parts if refs_in(shape.get("description"))), None)
        code = rle.union(codes, photo.size)
        found.append(ForeignMask(where, first["label"], code, refs_in(note), sentences_in(note)))
    return found


def _part(shape: dict[str, Any], size: Size, where: str) -> np.ndarray:
    points = _points(shape.get("points"), where)
    if shape["shape_type"] == "mask":
        return _from_picture(shape.get("mask"), points, size, where)
    if len(points) < 3:
        raise SscError(f"{where}: a polygon has at least three points")
    try:
        check_units([points], *size)
    except SscError as error:
        raise SscError(f"{where}: {error}") from error
    limit = np.array([size[1], size[0]])
    if (points < 0).any() or (points > limit).any():
        points = clip_polygon(points, limit)
    border = np.minimum(np.floor(points), limit - 1)  # the last pixel's far edge is its own
    return filled([border], size) if len(border) else np.zeros(size, bool)


def _points(value: Any, where: str) -> np.ndarray:
    """float64 (N, 2)."""
    try:
        points = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SscError(f"{where}: its points are no pairs of numbers") from error
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < _FARTHEST).all() or len(points) > _MOST_POINTS:
        raise SscError(f"{where}: its points are no list of pairs of finite numbers")
    return points


def _from_picture(text: Any, points: np.ndarray, size: Size, where: str) -> np.ndarray:
    """The mask of a shape whose pixels are a PNG between two corners, both included."""
    if not isinstance(text, str) or len(points) != 2:
        raise SscError(f"{where}: a mask has a picture and two corners")
    left, top, right, bottom = (int(value) for value in np.clip(points, -1, 2**30).ravel())
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise SscError(f"{where}: its corners {points.tolist()} are not inside the photo")
    try:
        picture = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SscError(f"{where}: its mask is no picture in base 64") from error
    mask = np.zeros(size, bool)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(picture)
        file.flush()
        try:
            levels = read_levels(Path(file.name), (bottom - top + 1, right - left + 1))
        except SscError as error:
            raise SscError(f"{where}: {str(error).replace(file.name, 'its mask')}") from error
    mask[top : bottom + 1, left : right + 1] = levels > 0
    return mask
