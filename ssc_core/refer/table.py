"""A user's own data: a CSV or JSONL file with one ref a row. No ground truth, no ids and no classes are needed.

image       path of the photo, relative to the images folder
sentences   JSON list; in CSV also sentences separated by |
split       optional
mask        optional: PNG, relative to the table's folder; in JSONL also COCO RLE or polygons
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssc_core.errors import SscError
from ssc_core.pictures import BadImage
from ssc_core.refer.images import image_size
from ssc_core.refer.records import ImageRecord, RefData, RefRecord, Segmentation, Sentence
from ssc_core.refer.refer_layout import check_inside_folder

COLUMNS = ("image", "sentences", "split", "mask")
_MAX_LISTED = 10

log = logging.getLogger(__name__)


def read_table(path: Path, images_folder: Path, *, default_split: str) -> RefData:
    """A user's table, whose rows are read one by one as ``refs`` is iterated over: a large one needs no memory.

    Ref, photo and sentence ids count from 1 in order of appearance, so rows that are added at the end leave all ids as
    they were; a ref's annotation id is its ref id, its category id 0.

    Iterating raises SscError that names file and line for a row that cannot be read, and at the end one that lists all
    photos that cannot be.
    """
    return RefData(refs=_TableRefs(Path(path), Path(images_folder), default_split), images_folder=Path(images_folder))


def read_sentences(
    path: Path, *, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(photo, sentences) of each row of a table; no photo is opened. Sentences may be blank.

    wanted: whether a photo's rows are; of the others nothing but the name is read. Raises SscError for a row that
    cannot be read.
    """
    for where, row in _rows(Path(path)):
        name = _text(row, "image", where)
        if wanted(name):
            check_inside_folder(name, where)
            yield name, tuple(" ".join(text.split()) for text in _sentences(row.get("sentences"), where))


@dataclass(frozen=True, slots=True)
class _TableRefs(Iterable[RefRecord]):
    path: Path
    images_folder: Path
    default_split: str

    def __iter__(self) -> Iterator[RefRecord]:
        photos = _Photos(self.images_folder)
        ref_id = n_sentences = 0
        for ref_id, (where, row) in enumerate(_rows(self.path), start=1):
            texts = _sentences(row.get("sentences"), where)
            image = photos.record(_text(row, "image", where), where)
            split = _split(row.get("split"), where) or self.default_split
            segmentation = _segmentation(row.get("mask"), self.path.parent, where)
            sentences = tuple(
                Sentence(sent_id=n_sentences + i, text=" ".join(text.split()), raw=text)
                for i, text in enumerate(texts, start=1)
            )
            n_sentences += len(texts)
            if image is not None:
                yield RefRecord(
                    ref_id=ref_id,
                    ann_id=ref_id,
                    image=image,
                    where=where,
                    split=split,
                    sentences=sentences,
                    segmentation=segmentation,
                )
        photos.raise_problems()
        if not ref_id:
            raise SscError(f"{self.path} has no rows")


class _Photos:
    """Photos by first appearance. A photo that cannot be read is remembered, so that all are reported together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, ImageRecord | None] = {}
        self._problems: list[str] = []

    def record(self, file_name: str, where: str) -> ImageRecord | None:
        """A photo; None where it cannot be read."""
        check_inside_folder(file_name, where)
        if file_name not in self._records:
            self._records[file_name] = self._read(file_name, where)
        return self._records[file_name]

    def raise_problems(self) -> None:
        """Raise SscError that lists the photos that could not be read."""
        if self._problems:
            listed = "\n  ".join(self._problems[:_MAX_LISTED])
            more = len(self._problems) - _MAX_LISTED
            raise SscError(
                f"{len(self._problems)} of {len(self._records)} photos cannot be read:\n  {listed}"
                + (f"\n  and {more} more" if more > 0 else "")
            )

    def _read(self, file_name: str, where: str) -> ImageRecord | None:
        try:
            height, width = image_size(self._folder / file_name)
        except BadImage as error:
            self._problems.append(f"{where}: {error}")
            return None
        return ImageRecord(len(self._records) + 1, file_name, height, width)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place for messages, row) for each row that is not blank."""
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SscError(f"{path}: a table ends in .csv or .jsonl")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise SscError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise SscError(f"cannot read {path}: {error.strerror}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # Spreadsheets put a byte order mark first; utf-8-sig drops it.
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            _check_columns(reader.fieldnames or (), f"{path}, line 1")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row:
                    raise SscError(f"{where}: more cells than columns; put cells that hold commas in double quotes")
                yield where, row
        except csv.Error as error:
            raise SscError(f"{path}, line {reader.reader.line_num}: {error}") from error


def _jsonl_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    checked = False
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise SscError(f"{where} is not valid JSON ({error})") from error
            if not isinstance(row, dict):
                raise SscError(
                    f'{where} is no JSON object; a row looks like {{"image": "a.jpg", "sentences": ["dog"]}}'
                )
            if not checked:
                _check_columns(row, where)
                checked = True
            yield where, row


def _check_columns(columns: Any, where: str) -> None:
    missing = [column for column in ("image", "sentences") if column not in columns]
    if missing:
        raise SscError(f"{where}: no column '{missing[0]}'; a table has the columns {', '.join(COLUMNS)}")
    unused = [str(column) for column in columns if column not in COLUMNS]
    if unused:
        log.warning("%s: columns that nothing reads: %s (known are %s)", where, ", ".join(unused), ", ".join(COLUMNS))


def _text(row: dict[str, Any], column: str, where: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise SscError(f"{where}: '{column}' is empty")
    return value.strip()


def _sentences(value: Any, where: str) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise SscError(f"{where}: 'sentences' starts as a JSON list but is none ({error})") from error
    if isinstance(value, str):
        return value.split("|")
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    raise SscError(f"{where}: 'sentences' must be a list of texts, or texts separated by |")


def _split(value: Any, where: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.strip().replace("_", "").isalnum():
        raise SscError(f"{where}: split {value!r:.40} must be a word of letters, digits and _, it becomes a folder")
    return value.strip()


def _segmentation(value: Any, folder: Path, where: str) -> Segmentation:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return folder / value.strip()
    if isinstance(value, list | dict):
        return value
    raise SscError(f"{where}: 'mask' must be the path of a PNG, or a COCO segmentation")
