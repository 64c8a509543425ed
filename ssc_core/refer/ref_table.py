"""The RefTable (``refs.parquet``): one row per sentence, in the annotation file's order. ``index.py`` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ssc_core.errors import SscError
from ssc_core.masks.reader import Ids
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref import Ref
from ssc_core.tables import open_table, rows_of

SCHEMA = pa.schema(
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
COLUMNS = tuple(SCHEMA.names)
_REF_COLUMNS = tuple(column for column in COLUMNS if column not in ("dataset", "sent_id", "sentence", "raw"))
SKIP_BAD_PHOTOS = b"skip_bad_photos"
"""In the metadata where ``detect.on_bad_image`` is skip: so every stage that opens photos obeys it."""
FORMAT = {b"format": b"ssc-refs", b"version": b"1"}


def read_refs(
    path: Path, split: str | None = None, columns: Sequence[str] = COLUMNS, images: np.ndarray | None = None
) -> pd.DataFrame:
    """Read a RefTable: some or all of ``COLUMNS``, a fresh index from 0.

    Only the rows of ``split`` when one is named, and only those of ``images``, ids of photos: then memory does not grow
    with the table. Raises SscError when the file is missing, damaged or not a RefTable, or has no such split.
    """
    table = _read_parquet(path, columns, images) if split is None else _read_split(path, split, columns, images)
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
        row = self._refs.find(ref_id)
        if row is None:
            raise KeyError(ref_id)
        return tuple(self._texts[self._first[row] : self._first[row + 1]].to_pylist())

    def __iter__(self) -> Iterator[int]:
        return iter(self._refs.values.tolist())

    def __len__(self) -> int:
        return len(self._refs.values)


def read_categories(path: Path) -> dict[int, str]:
    """Class names by category id of the whole dataset, used by a ref or not; empty for a user's own table."""
    metadata = _read_parquet(path, ()).schema.metadata
    return {int(key): name for key, name in json.loads(metadata[b"categories"]).items()}


def open_photos(path: Path, images_folder: Path, images: np.ndarray | None = None) -> PhotoReader:
    """Reader of the photos that the RefTable at ``path`` is about, or of those whose ids are given: file name to RGB
    uint8 (H, W, 3)."""
    table = _read_parquet(path, ("file_name", "height", "width"), images)
    photos = table.group_by(table.column_names, use_threads=False).aggregate([])  # a photo has many rows
    files, heights, widths = (photos[column].to_pylist() for column in table.column_names)
    sizes = dict(zip(files, zip(heights, widths, strict=True), strict=True))
    skip = SKIP_BAD_PHOTOS in table.schema.metadata
    return PhotoReader(images_folder, sizes, upright=_upright(table), skip_bad=skip)


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


def _read_split(path: Path, split: str, columns: Sequence[str], images: np.ndarray | None = None) -> pa.Table:
    table = _read_parquet(path, dict.fromkeys(("split", *columns)), images)
    rows = table.filter(pc.equal(table["split"], split))
    if not rows and images is None:
        raise SscError(f"{path} has no split '{split}'; it has {', '.join(table['split'].unique().to_pylist())}")
    return rows.select(columns)


def _upright(table: pa.Table) -> bool:
    return bool(json.loads(table.schema.metadata[b"upright"]))


def _read_parquet(path: Path, columns: Iterable[str], images: np.ndarray | None = None) -> pa.Table:
    """Some columns of a RefTable, of all photos or of ``images``, and its metadata: most steps need few columns, and
    the texts are most of it."""
    with open_table(path, made_by="index_refs") as file:
        schema = file.schema_arrow
        metadata = schema.metadata or {}
        if not schema.equals(SCHEMA) or any(metadata.get(key) != value for key, value in FORMAT.items()):
            raise SscError(f"{path} is no RefTable of this version; delete it and run index_refs again")
        table = file.read(columns=list(columns)) if images is None else rows_of(file, "image_id", images, list(columns))
    if any(column.null_count for column in table.columns):
        raise SscError(f"{path} has empty cells, which no RefTable has; delete it and run index_refs again")
    return table
