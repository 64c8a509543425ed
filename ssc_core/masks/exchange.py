"""What a store holds in the words of other tools: images with their masks, each with a class and a note of its refs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ssc_core.errors import SscError
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore

NO_CATEGORY = "object"
"""Class of a mask whose data have no classes, such as a user's own table."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One mask. rle: COCO compressed RLE; about: more plain values, such as ref ids and scores."""

    category: str
    rle: bytes
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One photo and its masks. file_name: relative to the images folder; size: (height, width)."""

    image_id: int
    file_name: str
    size: tuple[int, int]
    annotations: Sequence[Annotation]


def open_masks(path: Path) -> MaskStore | SelectionStore:
    """Open masks.h5 or selected.h5, whichever it is. Raises SscError for anything else."""
    try:
        return MaskStore.open(path, with_masks=True)
    except SscError as error:
        if "ssc-selected" not in str(error):
            raise
    return SelectionStore(path)


def annotated_images(store: MaskStore | SelectionStore, refs: pd.DataFrame) -> Iterator[AnnotatedImage]:
    """The photos of a store in its order. refs: a RefTable that has all its refs.

    Of masks.h5, every instance with its class, ``score`` and ``ref_ids``; of selected.h5, the choices of every ref with
    the ref's class, ``ref_id`` and ``sentences``. Raises SscError when store and table do not belong together.
    """
    files = dict(zip(refs["image_id"], refs["file_name"], strict=True))
    if isinstance(store, MaskStore):
        yield from _instances(store, files)
    else:
        yield from _choices(store, files, refs)


def _instances(store: MaskStore, files: dict[int, str]) -> Iterator[AnnotatedImage]:
    for image_id in store.image_ids.tolist():
        found = store.instances(image_id)
        ref_ids: dict[int, list[int]] = {row: [] for row in found.rows.tolist()}
        for ref_id in store.all_refs_of(image_id):
            for row in store.candidates(ref_id).rows.tolist():
                ref_ids[row].append(ref_id)
        annotations = [
            Annotation(store.info.class_names[label], rle, {"score": float(score), "ref_ids": ref_ids[row]})
            for row, label, score, rle in zip(
                found.rows.tolist(), found.labels, found.box_scores, store.rles(found.rows), strict=True
            )
        ]
        yield AnnotatedImage(image_id, _file(files, image_id, store.path), store.image_size(image_id), annotations)


def _choices(store: SelectionStore, files: dict[int, str], refs: pd.DataFrame) -> Iterator[AnnotatedImage]:
    texts = refs.groupby("ref_id", sort=False)["sentence"].agg(list).to_dict()
    categories = dict(zip(refs["ref_id"], refs["category"], strict=True))
    by_image: dict[int, list[int]] = {}
    for ref_id in store.ref_ids.tolist():
        if ref_id not in texts:
            raise SscError(
                f"{store.path} has ref {ref_id}, which the refs do not have; give the refs.parquet beside it"
            )
        by_image.setdefault(store.image_of(ref_id), []).append(ref_id)
    for image_id, members in by_image.items():
        annotations = []
        for ref_id in members:
            per_sentence = store.choice_per == "sentence"
            for number in range(store.choices(ref_id)):
                sentences = [texts[ref_id][number]] if per_sentence else texts[ref_id]
                rle = store.rle(ref_id, number)
                if rle is not None:
                    about = {"ref_id": ref_id, "sentences": sentences}
                    annotations.append(Annotation(categories[ref_id] or NO_CATEGORY, rle, about))
        yield AnnotatedImage(image_id, _file(files, image_id, store.path), store.size(members[0]), annotations)


def _file(files: dict[int, str], image_id: int, store: Path) -> str:
    if image_id not in files:
        raise SscError(f"{store} has photo {image_id}, which the refs do not have; give the refs.parquet beside it")
    return files[image_id]
