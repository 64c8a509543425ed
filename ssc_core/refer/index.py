"""From annotations to the RefTable (``refs.parquet``; ``ref_table.py`` reads it) and ``truth.h5``."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from ssc_core.config.sources import DatasetSource
from ssc_core.errors import SscError
from ssc_core.refer.counts import check_published_counts
from ssc_core.refer.records import RefData, RefRecord
from ssc_core.refer.ref_table import FORMAT, PHOTOS_SEEN, SCHEMA, SKIP_BAD_PHOTOS
from ssc_core.refer.segmentation import segmentation_to_rle
from ssc_core.refer.sources import open_source
from ssc_core.refer.truth import TruthMask, TruthWriter
from ssc_core.tables import table_writer
from ssc_core.wording import counted

log = logging.getLogger(__name__)

MAX_LETTERS = 5000
"""Of a sentence. Networks read the first 20 to 77 words; of a longer text, the file is something else."""
_ROWS_AT_ONCE = 10_000
"""As Python objects, rows take twenty times the memory of the table."""


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
    skip_bad_photos: bool = False,
    limit: int | None = None,
    photos_seen: str = "",
) -> IndexSummary:
    """Read a dataset; write its RefTable to ``out_refs`` and its ground truth to ``out_truth``, each whole or not.

    dataset: name in the config. check_counts: compare refs per split with the published counts. gt_overlap_hole: see
    ``segmentation_to_rle``; skip_bad_photos: see ``read_table`` and ``PhotoReader``. limit: only the first refs of each
    split, so many. photos_seen: a digest of what the photos were, kept in ``out_refs``: with others, all that is made
    from it is made anew. Blank sentences, and refs that are left without any, are dropped; every such count is logged
    as a warning. Refs pass through one by one, so memory holds no more of a table than its photos' names. Raises
    SscError for data that do not fit together.
    """
    data = open_source(dataset, source, skip_bad_photos=skip_bad_photos)
    if check_counts:
        name, split_by = source.name or "a table", source.split_by or "no split_by"
        check_published_counts(dataset, name, split_by, (ref.split for ref in data.refs))
    notes: Counter[str] = Counter()
    photos = _Photos(data.images_folder)
    of_split: Counter[str] = Counter()
    spelt: dict[str, str] = {}
    n_refs = n_sentences = n_with_truth = 0
    with ExitStack() as stack:
        about_photos = {SKIP_BAD_PHOTOS: b"true"} if skip_bad_photos else {}
        about_photos |= {PHOTOS_SEEN: photos_seen.encode()} if photos_seen else {}
        rows = stack.enter_context(_refs_writer(out_refs, dataset, data, about_photos, upright=source.upright))
        masks = stack.enter_context(TruthWriter(out_truth))
        for ref in tqdm(_refs(dataset, data), desc="index", unit="ref", mininterval=5, delay=5):
            _check_lengths(dataset, ref)
            kept = _without_blank_sentences(ref, notes)
            if kept is None:
                continue
            other = spelt.setdefault(kept.split.lower(), kept.split)
            if other != kept.split:  # else the refs of one of them would be left out of everything
                raise SscError(f"dataset '{dataset}': are '{other}' and '{kept.split}' one split? Write it alike")
            of_split[kept.split] += 1
            if limit is not None and of_split[kept.split] > limit:
                notes[f"ref left out: `limit` takes the first {limit} of each split"] += 1
                continue
            photos.add(kept.image.file_name)
            rows.write(kept)
            mask = _truth_mask(dataset, kept, gt_overlap_hole, notes)
            if mask is not None:
                masks.append(mask)
            n_refs, n_sentences = n_refs + 1, n_sentences + len(kept.sentences)
            n_with_truth += mask is not None
        if not n_refs:
            raise SscError(f"dataset '{dataset}' has no ref with a sentence")
        photos.check(dataset, notes)
        notes.update(data.notes)
    for note in _lines(notes):
        log.warning("dataset '%s': %s", dataset, note)
    return IndexSummary(n_refs, n_sentences, len(photos), n_with_truth, _lines(notes))


_BLANK = "sentence of blanks alone, dropped"
_NO_SENTENCE = "ref without any sentence, dropped"
_NO_PHOTO = "photo missing in the images folder"
NO_TRUTH = "without ground truth, for training alone and left out of evaluation"


def _lines(notes: Counter[str]) -> tuple[str, ...]:
    """Of ``ref without any sentence, dropped``, which begins with what is counted: ``3 refs without ...``."""
    parts = [(count, what.partition(" ")) for what, count in notes.items() if count]
    return tuple(f"{counted(count, noun)} {rest}" for count, (noun, _, rest) in parts)


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


def _check_lengths(dataset: str, ref: RefRecord) -> None:
    longest = max((max(len(sentence.text), len(sentence.raw)) for sentence in ref.sentences), default=0)
    if longest > MAX_LETTERS:
        raise SscError(
            f"dataset '{dataset}', {ref.where}: a sentence has {longest} letters; {MAX_LETTERS} are the most"
        )


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
        notes[f"ref {NO_TRUTH}"] += 1
        return None
    return TruthMask(ref_id=ref.ref_id, height=height, width=width, rle=rle)


@contextmanager
def _refs_writer(
    path: Path, dataset: str, data: RefData, about_photos: dict[bytes, bytes], *, upright: bool
) -> Iterator[_RefsWriter]:
    """Write a RefTable ref by ref, whole or not at all."""
    about_dataset = {b"categories": json.dumps(data.categories).encode(), b"upright": json.dumps(upright).encode()}
    schema = SCHEMA.with_metadata({**FORMAT, **about_dataset, **about_photos})
    with table_writer(path, schema) as writer:
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
