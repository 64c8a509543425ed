"""A user's own data: a table (see ``table_rows``) with one ref per row, of which ``index.py`` makes the RefTable.

No ground truth, no ids and no classes are needed.

image       path of the photo, relative to the images folder (see ``Spellings``)
sentences   JSON list; in CSV also sentences separated by |
split       optional
mask        optional: PNG, relative to the table's folder, or COCO RLE or polygons, which in CSV are JSON in a cell
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssc_core.config.base import folder_name
from ssc_core.errors import SscError
from ssc_core.files import check_inside_folder, parse_json
from ssc_core.pictures import BadImage
from ssc_core.refer.images import image_size
from ssc_core.refer.records import ImageRecord, RefData, RefRecord, Segmentation, Sentence
from ssc_core.refer.spelling import Spellings
from ssc_core.refer.table_rows import filled, read_rows

_MAX_LISTED = 10
_PLAIN_SPLITS = frozenset({"train", "val", "test"})
_LEFT_OUT = "row left out"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that says what it must; no photo and no mask has been looked for. image: relative to the images folder, as
    the table spells it; sentences: as they are written; split: None where it names none."""

    where: str
    image: str
    sentences: tuple[str, ...]
    split: str | None
    mask: Segmentation


def read_whole_rows(path: Path) -> Iterator[Row]:
    """The rows of a table, one by one. Raises SscError that names file and line for one that cannot be read."""
    for where, row in read_rows(path):
        sentences = _sentences(row.get("sentences"), where)
        image = _text(row, "image", where)
        check_inside_folder(image, where)
        split, mask = (filled(row.get(column)) for column in ("split", "mask"))
        yield Row(where, image, tuple(sentences), _split(split, where), _segmentation(mask, path.parent, where))


def read_table(path: Path, images_folder: Path, *, default_split: str, skip_bad_photos: bool = False) -> RefData:
    """A user's table, whose rows are read one by one as ``refs`` is iterated over: a large one needs no memory.

    Ref, photo and sentence ids count from 1 in order of appearance, so rows that are added at the end leave all ids as
    they were; a ref's annotation id is its ref id, its category id 0.

    Iterating raises SscError that names file and line for a row that cannot be read, and at the end one that lists all
    photos that cannot be. skip_bad_photos: their rows are left out, counted in ``notes``; it is an error only when no
    photo is left.
    """
    refs = _TableRefs(Path(path), Path(images_folder), default_split, skip_bad_photos)
    return RefData(refs=refs, images_folder=Path(images_folder), notes=refs.notes)


def read_sentences(
    path: Path, *, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(photo, sentences) of each row of a table; no photo is opened. Sentences may be blank.

    wanted: whether a photo's rows are; of the others nothing but the name is read. Raises SscError for a row that
    cannot be read.
    """
    for where, row in read_rows(Path(path)):
        name = _text(row, "image", where)
        if wanted(name):
            check_inside_folder(name, where)
            yield name, tuple(" ".join(text.split()) for text in _sentences(row.get("sentences"), where))


@dataclass(frozen=True, slots=True)
class _TableRefs(Iterable[RefRecord]):
    path: Path
    images_folder: Path
    default_split: str
    skip_bad_photos: bool
    notes: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[RefRecord]:
        photos = _Photos(self.images_folder)
        ref_id = n_sentences = left_out = 0
        for ref_id, row in enumerate(read_whole_rows(self.path), start=1):
            image = photos.record(row.image, row.where)
            sentences = tuple(
                Sentence(sent_id=n_sentences + i, text=" ".join(text.split()), raw=text)
                for i, text in enumerate(row.sentences, start=1)
            )
            n_sentences += len(sentences)
            if image is None:
                left_out += 1
            else:
                yield RefRecord(
                    ref_id=ref_id,
                    ann_id=ref_id,
                    image=image,
                    where=row.where,
                    split=row.split or self.default_split,
                    sentences=sentences,
                    segmentation=row.mask,
                )
        if photos.problems and (not self.skip_bad_photos or left_out == ref_id):
            raise SscError(photos.problems)
        if photos.problems:
            self.notes[f"{_LEFT_OUT} ({photos.problems})"] = left_out
        if not ref_id:
            raise SscError(f"{self.path} has no rows")


class _Photos:
    """Photos by first appearance. A photo that cannot be read is remembered, so that all are reported together."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._spellings = folder, Spellings(folder)
        self._records: dict[str, ImageRecord | None] = {}
        self._problems: list[str] = []

    def record(self, file_name: str, where: str) -> ImageRecord | None:
        """A photo; None where it cannot be read."""
        file_name = self._spellings.find(file_name)
        if file_name not in self._records:
            self._records[file_name] = self._read(file_name, where)
        return self._records[file_name]

    @property
    def problems(self) -> str:
        """The photos that could not be read, in words; empty when all could."""
        if not self._problems:
            return ""
        listed = "\n  ".join(self._problems[:_MAX_LISTED])
        more = len(self._problems) - _MAX_LISTED
        return f"{len(self._problems)} of {len(self._records)} photos cannot be read:\n  {listed}" + (
            f"\n  and {more} more" if more > 0 else ""
        )

    def _read(self, file_name: str, where: str) -> ImageRecord | None:
        try:
            height, width = image_size(self._folder / file_name)
        except BadImage as error:
            self._problems.append(f"{where}: {error}")
            return None
        return ImageRecord(len(self._records) + 1, file_name, height, width)


def _text(row: dict[str, Any], column: str, where: str) -> str:
    value = filled(row.get(column))
    if not isinstance(value, str):
        raise SscError(f"{where}: '{column}' is empty")
    return value


def _sentences(value: Any, where: str) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parse_json(value, f"{where}: 'sentences' starts as a JSON list but")
    if isinstance(value, str):
        return value.split("|")
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    raise SscError(f"{where}: 'sentences' must be a list of texts, or texts separated by |")


def _split(value: Any, where: str) -> str | None:
    """A row's split, None where it names none. Raises SscError for what cannot be one.

    Spreadsheets make Train of train; the others, such as testA, are as they are written.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            name = folder_name(value)
            return name.lower() if name.lower() in _PLAIN_SPLITS else name
    except ValueError as error:
        raise SscError(f"{where}: split {value!r:.40}: {error}") from error
    raise SscError(f"{where}: split {value!r:.40} is no text")


def _segmentation(value: Any, folder: Path, where: str) -> Segmentation:
    if isinstance(value, str) and value.startswith(("{", "[")):
        value = parse_json(value, f"{where}: 'mask' starts as a COCO segmentation but")
    if isinstance(value, str):
        return folder / value
    if value is None or isinstance(value, list | dict):
        return value
    raise SscError(f"{where}: 'mask' must be the path of a PNG, or a COCO segmentation")
