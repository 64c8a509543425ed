"""Write columns row by row: flat memory, whole files only, equal bytes for equal rows in equal order."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import atomic_path
from ssc_core.masks.attributes import write_text
from ssc_core.masks.columnar import VERSION, Column, StoreInfo
from ssc_core.signals import held_back


class ColumnWriter:
    """Context manager that writes a file of ``columns``; subclasses add the methods that say what a row is.

    info: what made it; None for annotations, which nothing made. ``refs``, of ``StoreInfo``, may be set until the end.

    Raises SscError when the drive is full, read-only or closed to the user, and for numbers that are not finite.
    """

    def __init__(
        self,
        path: Path,
        info: StoreInfo | None,
        *,
        kind: str,
        columns: Mapping[str, Column],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = Path(path)
        self.refs = "" if info is None else info.refs
        self._columns = columns
        self._attributes = {"format": kind, "version": VERSION, **_made_by(info), **(attributes or {})}
        self._chunks = {name: np.empty((c.chunk, *c.tail), dtype=c.dtype) for name, c in columns.items()}
        self._filled = dict.fromkeys(columns, 0)
        self._ends: dict[str, int] = dict.fromkeys(columns, 0)
        self._claimed: dict[str, dict[int, int]] = {}
        self._context: AbstractContextManager[None] | None = None
        self._sink: _Sink
        self._file: h5py.File

    def __enter__(self) -> Self:
        self._context = self._writing()
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._context is not None
        return self._context.__exit__(kind, error, trace)

    def _append(self, name: str, values: Any) -> None:
        """Add rows to a column; whole chunks go to the file."""
        column, chunk = self._columns[name], self._chunks[name]
        rows = np.asarray(values, dtype=column.dtype).reshape(-1, *column.tail)
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            raise SscError(f"{self._path}: /{name} would hold numbers that are not finite (NaN or infinite)")
        while len(rows):
            filled = self._filled[name]
            count = min(len(rows), column.chunk - filled)
            chunk[filled : filled + count] = rows[:count]
            self._filled[name] += count
            rows = rows[count:]
            if self._filled[name] == column.chunk:
                self._flush(name)

    def _append_range(self, name: str, count: int) -> None:
        """Add the end of a range of ``count`` rows to a column of offsets."""
        self._ends[name] += count
        self._append(name, self._ends[name])

    def _append_blobs(self, name: str, offsets: str, blobs: Sequence[bytes]) -> None:
        """Add byte strings, end to end, and where each ends."""
        self._append(name, np.frombuffer(b"".join(blobs), dtype=np.uint8))
        for blob in blobs:
            self._append_range(offsets, len(blob))

    def has(self, what: str, value: int) -> bool:
        """Whether an "image" or a "ref" was added, by its id."""
        return bool(self._claimed.get(what, {}).get(value >> 6, 0) & 1 << (value & 63))

    def _claim(self, what: str, ids: Iterable[int]) -> None:
        """Note ids of images or refs. Raises SscError for one that was noted before."""
        claimed = self._claimed.setdefault(what, {})
        for value in ids:
            # a bit of a number that 64 ids share: a set of all ids would be most of a writer's memory
            block, bit = int(value) >> 6, 1 << (int(value) & 63)
            known = claimed.get(block, 0)
            if known & bit:
                raise SscError(f"{what} {value} was added to {self._path} before; is it listed twice?")
            claimed[block] = known | bit

    @held_back()
    def _flush(self, name: str) -> None:
        """Write the rows of a column that are held back."""
        count, dataset = self._filled[name], self._file[name]
        if count:
            start = len(dataset)
            dataset.resize(start + count, axis=0)
            dataset[start:] = self._chunks[name][:count]
            self._filled[name] = 0
            self._sink.raise_error()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with atomic_path(self._path) as temporary, _Sink(temporary, "w+") as self._sink:
            with ExitStack() as stack:
                self._open(stack)
                yield
                self._finish()
            self._sink.raise_error()

    @held_back()
    def _open(self, stack: ExitStack) -> None:
        # v110: files that HDF5 1.10 and later read, with small chunk indexes and checksums on what is not data
        self._file = h5py.File(self._sink, "w", libver=("v110", "v110"))
        stack.callback(held_back()(self._file.close))
        for name, value in self._attributes.items():
            if isinstance(value, str):
                write_text(self._file.attrs, name, value)
            else:
                self._file.attrs[name] = value
        for name, column in self._columns.items():
            self._create(name, column)
            self._append(name, column.start)

    @held_back()
    def _finish(self) -> None:
        for name in self._columns:
            self._flush(name)
        if self.refs:
            write_text(self._file.attrs, "refs", self.refs)
        self._file.flush()
        self._file.attrs["complete"] = True

    def _create(self, name: str, column: Column) -> None:
        self._file.create_dataset(
            name,
            shape=(0, *column.tail),
            maxshape=(None, *column.tail),
            chunks=(column.chunk, *column.tail),
            dtype=column.dtype,
            compression="gzip",
            compression_opts=4,
            shuffle=np.dtype(column.dtype).itemsize > 1,
            track_times=False,
        )


class _Sink(io.FileIO):
    """The file below HDF5, which takes every write and keeps the first error for ``raise_error``.

    HDF5 cannot abandon a file: told of a full drive, it tries again at exit and crashes the process. So does one that
    Ctrl-C interrupts in here, or hangs: whatever calls HDF5 is ``held_back``.
    """

    _error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = error
        return size or 0

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _made_by(info: StoreInfo | None) -> dict[str, str]:
    if info is None:
        return {}
    return {
        "class_names": _to_json(list(info.class_names)),
        "settings": _to_json(info.settings),
        "code": info.code,
        "models": _to_json(info.models),
    }


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
