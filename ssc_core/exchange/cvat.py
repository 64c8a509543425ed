"""CVAT for images 1.1: one XML file, masks as run lengths inside their box, to the pixel.

A mask's refs and sentences are its attributes ``refs`` and ``sentences``, which the labels in ``meta`` declare.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import AnnotatedImage, Export, LeftOut, refs_of, xml_text
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames, check_size, differ, score_in
from ssc_core.files import atomic_path
from ssc_core.masks import rle
from ssc_core.masks.runs import Size
from ssc_core.refer.segmentation import segmentation_to_rle

_ATTRIBUTES = ("refs", "sentences", "score")


def write(export: Export, out: Path) -> None:
    """Write one XML file."""
    write_images(export.all_images(), export.categories.values(), out)


def write_images(images: Iterable[AnnotatedImage], categories: Iterable[str], out: Path) -> None:
    """Write photos. categories: names of labels, besides those that masks have."""
    root, labels = Xml.Element("annotations"), set(categories)
    Xml.SubElement(root, "version").text = "1.1"
    meta = Xml.SubElement(Xml.SubElement(root, "meta"), "task")
    for image in images:
        root.append(_image(image))
        labels |= {one.category for one in image.annotations}
    known = Xml.SubElement(meta, "labels")
    for name in sorted(labels):
        label = Xml.SubElement(known, "label")
        Xml.SubElement(label, "name").text = xml_text(name)
        attributes = Xml.SubElement(label, "attributes")
        for attribute in _ATTRIBUTES:
            one = Xml.SubElement(attributes, "attribute")
            for key, value in {"name": attribute, "mutable": "False", "input_type": "text"}.items():
                Xml.SubElement(one, key).text = value
    Xml.indent(root)
    with atomic_path(out) as temporary:
        Xml.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _image(image: AnnotatedImage) -> Xml.Element:
    height, width = image.size
    element = Xml.Element(
        "image", id=str(image.image_id), name=xml_text(image.file_name), width=str(width), height=str(height)
    )
    for one in image.annotations:
        left, top, columns, rows = (int(value) for value in rle.boxes([one.rle], image.size)[0])
        inside = rle.decode([one.rle], image.size)[0][top : top + rows, left : left + columns]
        mask = Xml.SubElement(
            element,
            "mask",
            label=xml_text(one.category),
            source="auto",
            occluded="0",
            rle=", ".join(map(str, _runs(inside))),
            left=str(left),
            top=str(top),
            width=str(columns),
            height=str(rows),
            z_order="0",
        )
        about = one.about
        values = {
            "refs": ", ".join(map(str, refs_of(about))),
            "sentences": " | ".join(about.get("sentences", ())),
            "score": str(about.get("score", "")),
        }
        for name, value in values.items():
            if value:
                Xml.SubElement(mask, "attribute", name=name).text = xml_text(value)
    return element


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of bool (H, W) along the rows, background first."""
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1]))
    return np.diff(edges, prepend=0).tolist()


def read(
    path: Path, photos: PhotoNames, passed_over: LeftOut, *, per_ref: bool
) -> Iterator[tuple[Photo, list[ForeignMask]]]:
    """Masks of an XML file: masks and polygons, those of a ``group_id`` and label together; other shapes are passed
    over."""
    try:
        for _, element in iterparse(path, events=("end",), forbid_dtd=True):
            if element.tag == "track":
                raise SscError(f"{path} is of CVAT for video; export the task as 'CVAT for images 1.1'")
            if element.tag == "image":
                file = element.get("name", "")
                photo = photos.find(file, passed_over)
                if photo is not None:
                    size = _whole(element, "height", path), _whole(element, "width", path)
                    check_size(photo, size, path)
                    yield photo, list(_masks(element, photo, f"{path}, {file}", passed_over))
                element.clear()
    except (Xml.ParseError, DefusedXmlException, LookupError, ValueError) as error:  # of an encoding
        raise SscError(f"{path} is no XML of CVAT for images ({error!s:.200})") from error


def _masks(image: Xml.Element, photo: Photo, where: str, passed_over: LeftOut) -> Iterator[ForeignMask]:
    groups: dict[Any, list[tuple[str, Xml.Element]]] = {}
    for number, shape in enumerate(image, start=1):
        if shape.tag in ("mask", "polygon"):
            group = shape.get("group_id"), shape.get("label")
            groups.setdefault(group if group[0] else number, []).append((f"{where}, shape {number}", shape))
        elif shape.tag != "tag":
            passed_over.add("shapes that are neither masks nor polygons", f"{where}, {shape.tag} {number}")
    for parts in groups.values():
        name, first = parts[0]
        refs_of = [_refs(shape, place) for place, shape in parts]
        if differ(refs_of, name, passed_over):
            continue
        codes, refs = [_code(shape, photo.size, place) for place, shape in parts], next(filter(None, refs_of), ())
        sentences, score = tuple(_texts(parts, "sentences")), next(_texts(parts, "score"), None)
        yield ForeignMask(name, first.get("label", ""), rle.union(codes, photo.size), refs, sentences, score_in(score))


def _texts(parts: Sequence[tuple[str, Xml.Element]], attribute: str) -> Iterator[str]:
    """What the shapes of a mask say in an attribute, each text once."""
    found = (one.text for _, shape in parts for one in shape.iter("attribute") if one.get("name") == attribute)
    yield from dict.fromkeys(filter(None, found))


def _refs(shape: Xml.Element, where: str) -> tuple[int, ...]:
    for attribute in shape.iter("attribute"):
        if attribute.get("name") in ("refs", "ref_id", "ref_ids"):
            words = (attribute.text or "").replace(",", " ").split()
            if not all(re.fullmatch(r"\d{1,18}", word, re.ASCII) for word in words):
                raise SscError(f"{where}: '{attribute.text!s:.40}' are no ids of refs")
            return tuple(map(int, words))
    return ()


def _code(shape: Xml.Element, size: Size, where: str) -> bytes:
    if shape.tag == "mask":
        return rle.encode(_inside(shape, size, where)[None])[0]
    try:
        points = [float(value) for pair in shape.get("points", "").split(";") for value in pair.split(",")]
        code = segmentation_to_rle([points], *size, overlap_hole=False, notes=Counter())
    except (ValueError, SscError) as error:
        raise SscError(f"{where}: {error}") from error
    return code or rle.empty(size)


def _inside(shape: Xml.Element, size: Size, where: str) -> np.ndarray:
    """bool (H, W), from run lengths along the rows of a box."""
    left, top, width, height = (_whole(shape, key, where) for key in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or left + width > size[1] or top + height > size[0]:
        raise SscError(f"{where}: its box {left}, {top}, {width} x {height} is not inside the photo")
    text = shape.get("rle", "")
    if text.count(",") > width * height:
        raise SscError(f"{where}: it has more runs than its box of {width} x {height} pixels")
    try:
        runs = np.array([int(run) for run in text.split(",")], np.int64)
    except (ValueError, OverflowError) as error:
        raise SscError(f"{where}: its run lengths are no whole numbers") from error
    if runs.min() < 0 or runs.max() > width * height or runs.sum() != width * height:
        raise SscError(f"{where}: its runs do not cover its box of {width} x {height} pixels")
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(
        height, width
    )
    return mask


def _whole(element: Xml.Element, key: str, where: Any) -> int:
    value = element.get(key, "")
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise SscError(f"{where}: {key} '{value:.40}' is no whole number")
    return int(value)
