"""The REFER layout of RefCOCO, RefCOCO+ and RefCOCOg, and of their relatives RefClef and RRSIS-D: reader and writer.

{root}/{name}/refs({split_by}).p        pickle: list of refs, each with its sentences
{root}/{name}/instances.json            COCO: images, annotations, categories
{root}/images/mscoco/images/train2014   photos; others have folders of their own, see ``images_folder_of``
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssc_core.config.sources import images_folder_of
from ssc_core.errors import SscError
from ssc_core.files import atomic_path, check_inside_folder, read_json
from ssc_core.pictures import check_pixels
from ssc_core.refer.records import ImageRecord, RefData, RefRecord, Sentence, check_unique
from ssc_core.refer.safe_pickle import load_plain_pickle


def read_refer(
    root: Path, name: str, split_by: str, *, instances: Path | None = None, images_folder: Path | None = None
) -> RefData:
    """Read a dataset in the REFER layout; refs keep the pickle's order.

    A ref's photo is the one that ``instances.json`` names: the ref's own file_name carries an annotation id as suffix.
    Annotations that are named by texts, as RefClef's, get their place in the file, from 1, as id. Blank sentences are
    kept here. Raises SscError that names the file and the ref when anything is missing, damaged, ambiguous (a ref or
    sentence id used twice) or does not fit together, and for refs that do not mean exactly one object.
    """
    folder = Path(root) / name
    refs_path = folder / f"refs({split_by}).p"
    instances_path = instances or folder / "instances.json"
    coco = _read_coco(instances_path)
    several = folder / f"grefs({split_by}).json"
    if not refs_path.is_file() and several.is_file():
        refs_path = several
        raw_refs = read_json(several)
    else:
        raw_refs = load_plain_pickle(refs_path)
    if not isinstance(raw_refs, list):
        raise SscError(f"{refs_path} holds a {type(raw_refs).__name__}, not a list of refs")
    _check_one_object_each(raw_refs, refs_path)

    images = {image_id: _image(image, instances_path) for image_id, image in coco["images"].items()}
    categories = {key: _field(value, "name", str, instances_path) for key, value in coco["categories"].items()}
    place_of: dict[Any, int] = {
        name: place for place, name in enumerate(coco["annotations"], start=1) if isinstance(name, str)
    }
    refs = []
    for number, raw in enumerate(raw_refs, start=1):
        where = f"{refs_path}, ref number {number}"
        ref = _ref(raw, where, coco["annotations"], images, categories, instances_path)
        refs.append(replace(ref, ann_id=place_of[ref.ann_id]) if place_of else ref)
    check_unique((ref.ref_id for ref in refs), "ref", refs_path)
    check_unique((s.sent_id for ref in refs for s in ref.sentences), "sentence", refs_path)
    return RefData(
        refs=tuple(refs),
        images_folder=images_folder or images_folder_of(Path(root), name),
        categories=categories,
    )


def write_refer(
    root: Path,
    name: str,
    split_by: str,
    *,
    refs: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write ``refs({split_by}).p`` and ``instances.json``, each whole or not at all; photos are the caller's.

    refs: dicts of ref_id, ann_id, image_id, category_id, split, sentences (dicts of sent_id, sent, raw) and whatever
    else; images, annotations and categories: COCO's own dicts. Annotations need not belong to a ref.
    Tuples become lists. Raises SscError for values that are not plain Python (NumPy, NaN, bytes).
    """
    folder = Path(root) / name
    coco = _plain({"images": images, "annotations": annotations, "categories": categories}, "instances.json")
    plain_refs = _plain(refs, "refs")
    with atomic_path(folder / "instances.json") as temporary:
        temporary.write_text(json.dumps(coco), encoding="utf-8")
    with atomic_path(folder / f"refs({split_by}).p") as temporary:
        temporary.write_bytes(pickle.dumps(plain_refs, protocol=2))


def _check_one_object_each(raw_refs: Sequence[Any], path: Path) -> None:
    """Raise SscError that counts the refs, as of gRefCOCO, that mean several objects or none."""
    odd: dict[str, list[Any]] = {"several objects": [], "no object": []}
    for number, raw in enumerate(raw_refs, start=1):
        ids = raw.get("ann_id", 0) if isinstance(raw, dict) else 0
        ids = ids if isinstance(ids, list) else [ids]
        if len(ids) > 1:
            odd["several objects"].append(raw.get("ref_id", number))
        elif ids in ([], [-1], [None]):
            odd["no object"].append(raw.get("ref_id", number))
    counts = [f"{len(refs)} mean {what} (the first is ref id {refs[0]!s:.20})" for what, refs in odd.items() if refs]
    if counts:
        raise SscError(
            f"{path}: of {len(raw_refs)} refs, {' and '.join(counts)}. A ref must mean exactly one object: write a "
            f"refs(...).p with the others alone, and name it by `split_by`"
        )


def _read_coco(path: Path) -> dict[str, dict[Any, dict[str, Any]]]:
    """The three lists of a COCO file, each by id."""
    content = read_json(path)
    tables: dict[str, dict[Any, dict[str, Any]]] = {}
    for key, kind in {"images": "image", "annotations": "annotation", "categories": "category"}.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise SscError(f"{path} has no list '{key}'; it must be a COCO annotation file")
        named = key == "annotations" and any(
            isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in entries
        )
        ids: list[Any] = [_field(entry, "id", str if named else int, f"{path}, {key}") for entry in entries]
        check_unique(ids, kind, path)
        tables[key] = dict(zip(ids, entries, strict=True))
    return tables


def _image(image: dict[str, Any], path: Path) -> ImageRecord:
    where = f"{path}, image {image['id']}"
    record = ImageRecord(
        image_id=image["id"],
        file_name=_field(image, "file_name", str, where),
        height=_field(image, "height", int, where),
        width=_field(image, "width", int, where),
    )
    check_inside_folder(record.file_name, where)
    check_pixels(where, record.height, record.width)
    return record


def _ref(
    raw: Any,
    where: str,
    annotations: Mapping[Any, Mapping[str, Any]],
    images: Mapping[int, ImageRecord],
    categories: Mapping[int, str],
    instances_path: Path,
) -> RefRecord:
    ref_id, image_id = (_field(raw, key, int, where) for key in ("ref_id", "image_id"))
    if min(ref_id, image_id) < 0:
        raise SscError(f"{where}: ref_id {ref_id} and image_id {image_id} must be 0 or more; draws are seeded by them")
    # Some relatives have lists here, for a single object too; _check_one_object_each has seen that it is one.
    single = {
        key: value[0] if isinstance(value := raw.get(key), list) and len(value) == 1 else value
        for key in ("ann_id", "category_id")
    }
    ann_id = _field(single, "ann_id", str if isinstance(single["ann_id"], str) else int, where)
    category_id = _field(single, "category_id", int, where)
    where = f"{where} (ref id {ref_id})"
    annotation = annotations.get(ann_id)
    if annotation is None:
        raise SscError(f"{where}: annotation {ann_id} is not in {instances_path}; do the two files belong together?")
    if annotation.get("image_id") != image_id:
        raise SscError(f"{where}: annotation {ann_id} belongs to image {annotation.get('image_id')}, not to {image_id}")
    if image_id not in images:
        raise SscError(f"{where}: annotation {ann_id} is there, but its image {image_id} is not in {instances_path}")
    if category_id not in categories:
        raise SscError(f"{where}: category {category_id} is not in {instances_path}")
    segmentation = annotation.get("segmentation")
    if segmentation is not None and not isinstance(segmentation, list | dict):
        raise SscError(f"{instances_path}, annotation {ann_id}: segmentation must be polygons, RLE, or an empty list")
    return RefRecord(
        ref_id=ref_id,
        ann_id=ann_id,
        image=images[image_id],
        where=where,
        split=_field(raw, "split", str, where),
        sentences=tuple(_sentence(s, where) for s in _field(raw, "sentences", list, where)),
        category_id=category_id,
        category=categories[category_id],
        segmentation=segmentation,
    )


def _sentence(raw: Any, where: str) -> Sentence:
    text = _field(raw, "sent", str, f"{where}, a sentence")
    original = raw.get("raw", text)
    return Sentence(
        sent_id=_field(raw, "sent_id", int, f"{where}, a sentence"),
        text=text.strip(),
        raw=original if isinstance(original, str) else text,
    )


def _field(record: Any, key: str, kind: type, where: Any) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SscError(f"{where}: '{key}' is {'missing' if value is None else f'no {kind.__name__}'}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SscError(f"{where}: '{key}' is a number that does not fit into 64 bits")
    return value


def _plain(value: Any, where: str) -> Any:
    """A copy in lists, dicts, text and numbers.

    A pickle remembers which equal strings are one object; the copy parts them all, so bytes depend on values alone.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SscError(f"cannot write {where}: {error}; convert it to plain Python first") from error
