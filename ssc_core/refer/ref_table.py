"""The RefTable (``refs.parquet``): one row per sentence, in the annotation file's order. ``index.py`` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ssc_core.errors import SscError
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
_OF_REFS = [column for column in COLUMNS if column not in ("dataset", "raw")]
_REF_COLUMNS = [column for column in _OF_REFS if column not in ("sent_id", "sentence")]
SKIP_BAD_PHOTOS = b"skip_bad_photos"
"""In the metadata where ``detect.on_bad_image`` is skip: so every stage that opens photos obeys it."""
PHOTOS_SEEN = b"photos_seen"
"""In the metadata where it is known what the photos were (``datasets.*.seen``)."""
FORMAT = {b"format": b"ssc-refs", b"version": b"1"}
_PHOTOS_AT_ONCE, _ROWS_AT_ONCE = 2048, 10_000
"""Of which refs are in memory, some ten MB."""


def read_refs(
    path: Path, split: str | None = None, columns: Sequence[str] = COLUMNS, images: np.ndarray | None = None
) -> pd.DataFrame:
    """Read a RefTable: some or all of ``COLUMNS``, a fresh index from 0.

    Only the rows of ``split`` when one is named, and only those of ``images``, ids of photos: then memory does not grow
    with the table. Raises SscError when the file is missing, damaged or not a RefTable, or has no such split.
    """
    table = _read_parquet(path, columns, images) if split is None else _read_split(path, split, columns, images)
    return table.to_pandas()


def photos_of(path: Path, split: str) -> np.ndarray:
    """Ids of the photos of a split, int64 (P,), by first appearance. Raises SscError as ``read_refs`` does."""
    found = []
    with _opened(path) as file:
        for batch in file.iter_batches(columns=["split", "image_id"]):
            found.append(pd.unique(batch["image_id"].filter(pc.equal(batch["split"], split)).to_numpy()))
        photos = pd.unique(np.concatenate([np.zeros(0, np.int64), *found]))
        if not len(photos):
            _require_split(path, split, file.read(columns=["split"]))
    return photos


def refs_by_photo(path: Path, photos: np.ndarray, split: str | None = None) -> Iterator[tuple[int, tuple[Ref, ...]]]:
    """Photos in the order of ``photos``, ids, each with its refs in the table's order; () where it has none.

    Only those of ``split`` when one is named. Memory holds the refs of some photos, however long the table is. One in
    the order of its photos is read once, another one as often as ``_PHOTOS_AT_ONCE`` goes into ``photos``.
    Raises SscError as ``read_refs`` does.
    """
    with _opened(path) as file:
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            some = photos[start : start + _PHOTOS_AT_ONCE]
            table = rows_of(file, "image_id", some, _OF_REFS)
            if split is not None:
                table = table.filter(pc.equal(table["split"], split))
                if not len(table):
                    _require_split(path, split, file.read(columns=["split"]))
            found = refs_by_image(_without_empty_cells(path, table).to_pandas())
            yield from ((photo, found.get(photo, ())) for photo in some.tolist())


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


def photos_seen(path: Path) -> str:
    """What the photos were when the RefTable at ``path`` was made (``datasets.*.seen``); "" where nobody looked."""
    return _read_parquet(path, ()).schema.metadata.get(PHOTOS_SEEN, b"").decode("utf-8", "replace")


def photos_upright(path: Path) -> bool:
    """What ``load_image`` needs as ``upright`` for the photos that the RefTable at ``path`` is about."""
    return _upright(_read_parquet(path, ()))


def refs_in_order(path: Path, split: str | None) -> Iterator[Ref]:
    """The refs of a split, or of all, in the table's order. Memory holds those of some rows, and the ids of all.

    Raises SscError as ``read_refs`` does, and at the end where rows of a ref lie in several places.
    """
    runs = [np.zeros(0, np.int64)]
    with _opened(path) as file:
        rest = SCHEMA.empty_table().select(_OF_REFS)
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=_OF_REFS):
            rows = _without_empty_cells(path, pa.Table.from_batches([batch]))
            rest = pa.concat_tables([rest, rows if split is None else rows.filter(pc.equal(rows["split"], split))])
            if len(rest):
                ids = rest["ref_id"].to_numpy()
                unfinished = ids == ids[-1]  # its rows may go on in the next batch
                runs.append(ids[np.diff(ids, append=ids[-1]) != 0])
                yield from refs_of(rest.filter(pa.array(~unfinished)).to_pandas())
                rest = rest.filter(pa.array(unfinished))
        yield from refs_of(rest.to_pandas())
        if not len(rest) and split is not None:
            _require_split(path, split, file.read(columns=["split"]))
    ids = np.concatenate([*runs, rest["ref_id"].to_numpy()[:1]])
    if len(np.unique(ids)) != len(ids):
        raise SscError(f"{path} has rows of a ref in several places; delete it and run index_refs again")


def refs_of(frame: pd.DataFrame) -> Iterator[Ref]:
    """Refs of a RefTable; these and their sentences keep the order of first appearance."""
    rows_of_ref: dict[Any, list[Any]] = {}
    for row in frame.itertuples(index=False):
        rows_of_ref.setdefault(row.ref_id, []).append(row)
    for rows in rows_of_ref.values():
        yield Ref(
            **{column: getattr(rows[0], column) for column in _REF_COLUMNS},
            sent_ids=tuple(row.sent_id for row in rows),
            sentences=tuple(row.sentence for row in rows),
        )


def refs_by_image(frame: pd.DataFrame) -> dict[int, tuple[Ref, ...]]:
    """Refs of a RefTable by image id. Images, their refs and the refs' sentences keep the order of first appearance."""
    grouped: dict[int, list[Ref]] = {}
    for ref in refs_of(frame):
        grouped.setdefault(ref.image_id, []).append(ref)
    return {image_id: tuple(refs) for image_id, refs in grouped.items()}


def _read_split(path: Path, split: str, columns: Sequence[str], images: np.ndarray | None = None) -> pa.Table:
    table = _read_parquet(path, dict.fromkeys(("split", *columns)), images)
    rows = table.filter(pc.equal(table["split"], split))
    if images is None:
        _require_split(path, split, table)
    return rows.select(columns)


def _require_split(path: Path, split: str, table: pa.Table) -> None:
    """Raise SscError when a table has no row of a split."""
    splits = table["split"].unique().to_pylist()
    if split not in splits:
        raise SscError(f"{path} has no split '{split}'; it has {', '.join(splits)}")


def _upright(table: pa.Table) -> bool:
    return bool(json.loads(table.schema.metadata[b"upright"]))


def _read_parquet(path: Path, columns: Iterable[str], images: np.ndarray | None = None) -> pa.Table:
    """Some columns of a RefTable, of all photos or of ``images``, and its metadata: most steps need few columns, and
    the texts are most of it."""
    with _opened(path) as file:
        table = file.read(columns=list(columns)) if images is None else rows_of(file, "image_id", images, list(columns))
    return _without_empty_cells(path, table)


def _without_empty_cells(path: Path, table: pa.Table) -> pa.Table:
    if any(column.null_count for column in table.columns):
        raise SscError(f"{path} has empty cells, which no RefTable has; delete it and run index_refs again")
    return table


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with open_table(path, made_by="index_refs") as file:
        schema = file.schema_arrow
        metadata = schema.metadata or {}
        if not schema.equals(SCHEMA) or any(metadata.get(key) != value for key, value in FORMAT.items()):
            raise SscError(f"{path} is no RefTable of this version; delete it and run index_refs again")
        yield file
