"""The RefTable (``refs.parquet``): one row a sentence, in the annotation file's order."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.masks.reader import Ids
from ssc_core.refer.counts import check_published_counts
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.records import RefData, RefRecord
from ssc_core.refer.segmentation import segmentation_to_rle
from ssc_core.refer.sources import DatasetSource, open_source
from ssc_core.refer.truth import TruthMask, TruthWriter

log = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("image_id", pa.int64()),
        ("file_name", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("ref_id", pa.int64()),
        ("ann_id", pa.int64()),
        ("category_id", pa.int64()),
        ("category", pa.string()),
        ("sent_id", pa.int64()),
        ("sentence", pa.string()),
        ("raw", pa.string()),
    ]
)
COLUMNS = tuple(_SCHEMA.names)
_REF_COLUMNS = tuple(column for column in COLUMNS if column not in ("dataset", "sent_id", "sentence", "raw"))
_ROWS_AT_ONCE = 10_000
"""As Python objects, rows take twenty times the memory of the table."""
_FORMAT = {b"format": b"ssc-refs", b"version": b"1"}


@dataclass(frozen=True, slots=True)
class Ref:
    """One ref of a RefTable. sentences and sent_ids: one entry a sentence, same order. height, width: pixels."""

    ref_id: int
    ann_id: int
    image_id: int
    file_name: str
    height: int
    width: int
    split: str
    category_id: int
    category: str
    sent_ids: tuple[int, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What ``build_index`` wrote: counts, and ``notes``, one line for everything that was mended or left out."""

    n_refs: int
    n_sentences: int
    n_images: int
    n_with_truth: int
    notes: tuple[str, ...]


def build_index(
    *,
    dataset: str,
    source: DatasetSource,
    out_refs: Path,
    out_truth: Path,
    check_counts: bool,
    gt_overlap_hole: bool = False,
) -> IndexSummary:
    """Read a dataset; write its RefTable to ``out_refs`` and its ground truth to ``out_truth``, each whole or not.

    dataset: name in the config. check_counts: compare refs per split with the published counts. gt_overlap_hole: see
    ``segmentation_to_rle``. Blank sentences, and refs that are left without any, are dropped; every such
    count is logged as a warning. Refs pass through one by one, so memory holds no more of a table than its photos'
    names. Raises SscError for data that do not fit together.
    """
    data = open_source(dataset, source)
    if check_counts:
        name, split_by = source.name or "a table", source.split_by or "no split_by"
        check_published_counts(dataset, name, split_by, (ref.split for ref in data.refs))
    notes: Counter[str] = Counter()
    photos = _Photos(data.images_folder)
    n_refs = n_sentences = n_with_truth = 0
    with ExitStack() as stack:
        rows = stack.enter_context(_refs_writer(out_refs, dataset, data, upright=source.upright))
        masks = stack.enter_context(TruthWriter(out_truth))
        for ref in tqdm(_refs(dataset, data), desc="index", unit="ref", mininterval=5, delay=5):
            photos.add(ref.image.file_name)
            kept = _without_blank_sentences(ref, notes)
            if kept is None:
                continue
            rows.write(kept)
            mask = _truth_mask(dataset, kept, gt_overlap_hole, notes)
            if mask is not None:
                masks.append(mask)
            n_refs, n_sentences = n_refs + 1, n_sentences + len(kept.sentences)
            n_with_truth += mask is not None
        if not n_refs:
            raise SscError(f"dataset '{dataset}' has no ref with a sentence")
        photos.check(dataset, notes)
    for note in _lines(notes):
        log.warning("dataset '%s': %s", dataset, note)
    return IndexSummary(n_refs, n_sentences, len(photos), n_with_truth, _lines(notes))


def read_refs(path: Path, split: str | None = None, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Read a RefTable: some or all of ``COLUMNS``, a fresh index from 0; only the rows of ``split`` when one is named.

    Raises SscError when the file is missing, damaged or not a RefTable, or has no such split.
    """
    table = _read_parquet(path, columns) if split is None else _read_split(path, split, columns)
    return table.to_pandas()


class Sentences(Mapping[int, tuple[str, ...]]):
    """Sentences by ref id, refs in the annotation file's order; kept as one table, a few bytes more than the texts.

    Raises SscError as ``read_refs`` does.
    """

    def __init__(self, path: Path, split: str) -> None:
        rows = _read_split(path, split, ("ref_id", "sentence"))
        ref_ids = rows["ref_id"].to_numpy()
        starts = np.flatnonzero(np.diff(ref_ids, prepend=ref_ids[0] - 1))  # a ref's rows follow one another
        self._texts = rows["sentence"].combine_chunks()
        self._first = np.append(starts, len(ref_ids))
        self._refs = Ids(ref_ids[starts], "ref", path)
        if len(np.unique(self._refs.values)) != len(starts):
            raise SscError(f"{path} has rows of a ref in several places; delete it and run index_refs again")

    def __getitem__(self, ref_id: int) -> tuple[str, ...]:
        try:
            row = self._refs.row(ref_id)
        except SscError as error:
            raise KeyError(ref_id) from error
        return tuple(self._texts[self._first[row] : self._first[row + 1]].to_pylist())

    def __iter__(self) -> Iterator[int]:
        return iter(self._refs.values.tolist())

    def __len__(self) -> int:
        return len(self._refs.values)


def read_categories(path: Path) -> dict[int, str]:
    """Class names by category id of the whole dataset, used by a ref or not; empty for a user's own table."""
    metadata = _read_parquet(path, ()).schema.metadata
    return {int(key): name for key, name in json.loads(metadata[b"categories"]).items()}


def open_photos(path: Path, images_folder: Path) -> PhotoReader:
    """Reader of the photos that the RefTable at ``path`` is about: file name to RGB uint8 (H, W, 3)."""
    table = _read_parquet(path, ("file_name", "height", "width"))
    photos = table.group_by(table.column_names, use_threads=False).aggregate([])  # a photo has many rows
    files, heights, widths = (photos[column].to_pylist() for column in table.column_names)
    sizes = dict(zip(files, zip(heights, widths, strict=True), strict=True))
    return PhotoReader(images_folder, sizes, upright=_upright(table))


def photos_upright(path: Path) -> bool:
    """What ``load_image`` needs as ``upright`` for the photos that the RefTable at ``path`` is about."""
    return _upright(_read_parquet(path, ()))


def refs_by_image(frame: pd.DataFrame) -> dict[int, tuple[Ref, ...]]:
    """Refs of a RefTable by image id. Images, their refs and the refs' sentences keep the order of first appearance."""
    rows_of_ref: dict[Any, list[Any]] = {}
    for row in frame.itertuples(index=False):
        rows_of_ref.setdefault(row.ref_id, []).append(row)
    grouped: dict[int, list[Ref]] = {}
    for rows in rows_of_ref.values():
        ref = Ref(
            **{column: getattr(rows[0], column) for column in _REF_COLUMNS},
            sent_ids=tuple(row.sent_id for row in rows),
            sentences=tuple(row.sentence for row in rows),
        )
        grouped.setdefault(ref.image_id, []).append(ref)
    return {image_id: tuple(refs) for image_id, refs in grouped.items()}


_BLANK = "blank sentences were dropped"
_NO_SENTENCE = "refs without any sentence were dropped"
_NO_PHOTO = "photos are missing in the images folder"
_NO_TRUTH = "refs have no ground truth: they train, and are left out of evaluation"


def _lines(notes: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{count} {what}" for what, count in notes.items() if count)


def _refs(dataset: str, data: RefData) -> Iterator[RefRecord]:
    """The refs of a dataset; what is wrong with one names the dataset, too."""
    try:
        yield from data.refs
    except SscError as error:
        raise SscError(f"dataset '{dataset}': {error}") from error


class _Photos:
    """Photos of the refs, and which of them are not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()
        self._missing: list[str] = []

    def add(self, file_name: str) -> None:
        if file_name not in self._names:
            self._names.add(file_name)
            if not (self._folder / file_name).is_file():
                self._missing.append(file_name)

    def __len__(self) -> int:
        return len(self._names)

    def check(self, dataset: str, notes: Counter[str]) -> None:
        """A partial set of photos is usable, split by split; none at all means a wrong folder."""
        if self._missing and len(self._missing) == len(self):
            raise SscError(
                f"dataset '{dataset}': none of its {len(self)} photos is in {self._folder} "
                f"(first: {self._missing[0]}); put them there, or set `datasets.{dataset}.source.images`"
            )
        if self._missing:
            notes[f"{_NO_PHOTO} {self._folder} (first: {self._missing[0]})"] = len(self._missing)


def _without_blank_sentences(ref: RefRecord, notes: Counter[str]) -> RefRecord | None:
    kept = tuple(sentence for sentence in ref.sentences if sentence.text)
    notes[_BLANK] += len(ref.sentences) - len(kept)
    if not kept:
        notes[_NO_SENTENCE] += 1
        return None
    return replace(ref, sentences=kept)


def _truth_mask(dataset: str, ref: RefRecord, overlap_hole: bool, notes: Counter[str]) -> TruthMask | None:
    height, width = ref.image.height, ref.image.width
    try:
        rle = segmentation_to_rle(ref.segmentation, height, width, overlap_hole=overlap_hole, notes=notes)
    except SscError as error:
        raise SscError(f"dataset '{dataset}', {ref.where}, annotation {ref.ann_id}: {error}") from error
    if rle is None:
        notes[_NO_TRUTH] += 1
        return None
    return TruthMask(ref_id=ref.ref_id, height=height, width=width, rle=rle)


@contextmanager
def _refs_writer(path: Path, dataset: str, data: RefData, *, upright: bool) -> Iterator[_RefsWriter]:
    """Write a RefTable ref by ref, whole or not at all."""
    about_dataset = {b"categories": json.dumps(data.categories).encode(), b"upright": json.dumps(upright).encode()}
    schema = _SCHEMA.with_metadata({**_FORMAT, **about_dataset})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        rows = _RefsWriter(writer, dataset)
        yield rows
        rows.flush()


class _RefsWriter:
    def __init__(self, writer: pq.ParquetWriter, dataset: str) -> None:
        self._writer, self._dataset = writer, dataset
        self._held: list[dict[str, Any]] = []

    def write(self, ref: RefRecord) -> None:
        self._held.extend(_rows(ref, self._dataset))
        if len(self._held) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        try:
            table = pa.Table.from_pylist(self._held, schema=self._writer.schema)
        except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid) as error:
            raise SscError(
                f"dataset '{self._dataset}': a text or number of the annotations cannot be stored: {error}"
            ) from error
        self._writer.write_table(table)
        self._held = []


def _rows(ref: RefRecord, dataset: str) -> Iterator[dict[str, Any]]:
    """A row of the RefTable for each sentence of a ref."""
    photo = {"file_name": ref.image.file_name, "height": ref.image.height, "width": ref.image.width}
    about = {key: getattr(ref, key) for key in ("split", "image_id", "ref_id", "ann_id", "category_id", "category")}
    for s in ref.sentences:
        yield {"dataset": dataset, **photo, **about, "sent_id": s.sent_id, "sentence": s.text, "raw": s.raw}


def _read_split(path: Path, split: str, columns: Sequence[str]) -> pa.Table:
    table = _read_parquet(path, dict.fromkeys(("split", *columns)))
    rows = table.filter(pc.equal(table["split"], split))
    if not rows:
        raise SscError(f"{path} has no split '{split}'; it has {', '.join(table['split'].unique().to_pylist())}")
    return rows.select(columns)


def _upright(table: pa.Table) -> bool:
    return bool(json.loads(table.schema.metadata[b"upright"]))


def _read_parquet(path: Path, columns: Iterable[str]) -> pa.Table:
    """Some columns of a RefTable, and its metadata: most steps need few, and the texts are most of it."""
    path = Path(path)
    if not path.is_file():
        raise SscError(f"{path} does not exist; the rule index_refs makes it")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            metadata = schema.metadata or {}
            if tuple(schema.names) != COLUMNS or any(metadata.get(key) != value for key, value in _FORMAT.items()):
                raise SscError(f"{path} is no RefTable of this version; delete it and run index_refs again")
            return file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise SscError(f"{path} is damaged ({error}); delete it and run index_refs again") from error
