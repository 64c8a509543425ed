"""What every reader returns, whatever the layout: photos, refs and their sentences, in the annotation file's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ssc_core.errors import SscError

Segmentation: TypeAlias = list[Any] | dict[str, Any] | Path | None
"""Ground truth as annotated: COCO polygons, COCO RLE (compressed or not), a PNG, or none."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One photo. height, width: pixels that the annotations refer to. file_name: relative to the images folder."""

    image_id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One referring expression: ``text`` is what the pipeline reads, ``raw`` what the annotator typed."""

    sent_id: int
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class RefRecord:
    """One referred object and its sentences, possibly blank ones. category_id 0 and category "": not known.

    where: the place in the annotation file, for messages.
    """

    ref_id: int
    ann_id: int
    image: ImageRecord
    where: str
    split: str
    sentences: tuple[Sentence, ...]
    category_id: int = 0
    category: str = ""
    segmentation: Segmentation = None

    @property
    def image_id(self) -> int:
        return self.image.image_id


@dataclass(frozen=True, slots=True)
class RefData:
    """One dataset. refs: may be read from the file anew, one by one, whenever they are iterated over, and so raise
    SscError then. categories: id -> name of all annotated classes; empty when there are none. notes: counts of what was
    left out, known when all refs were read."""

    refs: Iterable[RefRecord]
    images_folder: Path
    categories: dict[int, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


def check_unique(ids: Iterable[int | str], kind: str, path: Path) -> None:
    """Raise SscError that names the first id that occurs twice."""
    seen: set[int | str] = set()
    for value in ids:
        if value in seen:
            raise SscError(f"{path}: {kind} id {value} occurs twice; ids must be unique, remove one of the two")
        seen.add(value)
