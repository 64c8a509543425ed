"""Parquet tables that know when they are damaged: the digest of a whole file lies in its own metadata.

Parquet has no digest of its own, and a flipped bit in a number is a number. The files are ordinary ones for others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ssc_core.errors import SscError
from ssc_core.files import atomic_path

_KEY, _MARK = "ssc_sha256", b"ssc-sha256:"
_UNKNOWN = b"0" * 64
_ROWS_AT_ONCE = 10_000
"""Of a frame that is read piece by piece: as Python objects, texts take more than in the table."""
_PIECE, _END = 2**20, 8
"""Bytes that are read at a time, and those at the end of Parquet: how long the footer before them is, and its name."""


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a table piece by piece, whole or not at all."""
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(temporary, schema) as writer:
            yield writer
            writer.add_key_value_metadata({_KEY: (_MARK + _UNKNOWN).decode()})
        with temporary.open("r+b") as file:
            place, _, digest = _digest(file)
            file.seek(place)
            file.write(digest)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame, without its index, whole or not at all; its ``attrs`` are kept."""
    write_frames(path, [frame])


def write_frames(path: Path, frames: Iterable[pd.DataFrame]) -> None:
    """Write data frames, at least one, as one table, each as it comes; the first says which columns there are."""
    with ExitStack() as stack:
        writer = None
        for frame in frames:
            schema = None if writer is None else writer.schema
            table = pa.Table.from_pandas(frame, schema, preserve_index=False)
            writer = writer or stack.enter_context(table_writer(path, table.schema))
            writer.write_table(table)


def read_frames(path: Path, *, made_by: str, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Read some columns of a table piece by piece. Raises SscError as ``open_table`` does."""
    with open_table(path, made_by=made_by) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(columns)):
            yield batch.to_pandas()


def read_frame(path: Path, *, made_by: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a data frame, or some columns of it. Raises SscError as ``open_table`` does."""
    with open_table(path, made_by=made_by) as file:
        return file.read(columns=None if columns is None else list(columns)).to_pandas()


@contextmanager
def open_table(path: Path, *, made_by: str) -> Iterator[pq.ParquetFile]:
    """Open a table that ``table_writer`` wrote.

    made_by: the rule that makes it, for messages. Raises SscError, also for what goes wrong in the block, when the file
    is missing, damaged at any bit, or was not written here.
    """
    again = f"delete it and run {made_by} again"
    try:
        with Path(path).open("rb") as file:
            _, written, digest = _digest(file)
        if not written:
            raise SscError(f"{path} has no digest: it was not written by this version, or is cut short; {again}")
        if written != digest:
            raise SscError(f"{path} is damaged: its content does not match its digest; {again}")
        with pq.ParquetFile(path) as table:
            yield table
    except FileNotFoundError as error:
        raise SscError(f"{path} does not exist; the rule {made_by} makes it") from error
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise SscError(f"{path} is damaged ({error!s:.200}); {again}") from error


def rows_of(file: pq.ParquetFile, column: str, values: np.ndarray, columns: Sequence[str]) -> pa.Table:
    """Some columns of the rows whose ``column``, an int64, holds one of ``values``.

    Memory holds what is found and one row group; groups whose statistics say that they have none are not read, so a
    table in that column's order costs what is found, however large it is.
    """
    place = file.schema_arrow.names.index(column)
    values = np.sort(values)
    found = []
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(place).statistics
        if bounds is not None and bounds.has_min_max:
            first, last = np.searchsorted(values, [bounds.min, bounds.max + 1])
            if first == last:
                continue
        own = np.isin(file.read_row_group(group, columns=[column])[column].to_numpy(), values)
        if own.any():
            found.append(file.read_row_group(group, columns=list(columns)).filter(pa.array(own)))
    return pa.concat_tables(found) if found else file.schema_arrow.empty_table().select(list(columns))


def _digest(file: BinaryIO) -> tuple[int, bytes, bytes]:
    """Where the digest stands in a file, what stands there (nothing where there is none), and the SHA-256 of all else,
    with ``_UNKNOWN`` in its place."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END))
    length = int.from_bytes(file.read(_END)[:4], "little")
    place = max(0, size - _END - length)
    file.seek(place)
    footer = file.read()
    mark = footer.rfind(_MARK) + len(_MARK)
    end = mark + len(_UNKNOWN)
    if mark < len(_MARK) or end > len(footer):
        return 0, b"", b""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(min(_PIECE, place - file.tell())):  # not mapped: that would count as memory
        digest.update(piece)
    for part in (footer[:mark], _UNKNOWN, footer[end:]):
        digest.update(part)
    return place + mark, footer[mark:end], digest.hexdigest().encode()
