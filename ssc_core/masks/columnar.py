"""Append-only columns in one HDF5 file: what the stores of this package share.

A file is a set of one-dimensional (or n x width) columns that grow row by row, and attributes that say what it is. A
writer holds back less than one chunk a column, so its memory is flat; it writes beside the final path and sets the
attribute ``complete`` last, so that a file under its final name is whole. Equal rows in equal order give equal bytes.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np

from ssc_core.errors import SscError
from ssc_core.files import atomic_path

VERSION = 1

_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError)
"""What h5py and the parsing of attributes raise on a damaged file."""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What made a file.

    class_names: what the labels index; settings: the config section, plain JSON values; code: digest of the code;
    models: name -> sha256 of the weights.
    """

    class_names: tuple[str, ...]
    settings: dict[str, Any]
    code: str
    models: dict[str, str]


class Column(NamedTuple):
    """dtype of a column, rows a chunk, values a row (0: one, without an axis of its own), and its first rows."""

    dtype: str
    chunk: int
    width: int = 0
    start: tuple[int, ...] = ()

    @property
    def tail(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.width,) if self.width else ()


def offsets(chunk: int) -> Column:
    """A column of n + 1 ends of ranges, the first 0."""
    return Column("<i8", chunk, start=(0,))


class ColumnWriter:
    """Context manager that writes a file of ``columns``; subclasses add the methods that say what a row is.

    Raises SscError when the drive is full, read-only or closed to the user.
    """

    def __init__(
        self,
        path: Path,
        info: StoreInfo,
        *,
        kind: str,
        columns: Mapping[str, Column],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = Path(path)
        self._columns = columns
        self._attributes = {
            "format": kind,
            "version": VERSION,
            "class_names": _to_json(list(info.class_names)),
            "settings": _to_json(info.settings),
            "code": info.code,
            "models": _to_json(info.models),
            **(attributes or {}),
        }
        self._chunks = {name: np.empty((c.chunk, *c.tail), dtype=c.dtype) for name, c in columns.items()}
        self._filled = dict.fromkeys(columns, 0)
        self._ends: dict[str, int] = dict.fromkeys(columns, 0)
        self._claimed: dict[str, set[int]] = {}
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

    def _claim(self, what: str, ids: Iterable[int]) -> None:
        """Note ids of images or refs. Raises SscError for one that was noted before."""
        claimed = self._claimed.setdefault(what, set())
        for value in ids:
            if value in claimed:
                raise SscError(f"{what} {value} was added to {self._path} before; is it listed twice?")
            claimed.add(int(value))

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
            # v110: files that HDF5 1.10 and later read, with small chunk indexes and checksums on what is not data
            with h5py.File(self._sink, "w", libver=("v110", "v110")) as self._file:
                for name, value in self._attributes.items():
                    self._file.attrs[name] = value
                for name, column in self._columns.items():
                    self._create(name, column)
                    self._append(name, column.start)
                yield
                for name in self._columns:
                    self._flush(name)
                self._file.flush()
                self._file.attrs["complete"] = True
            self._sink.raise_error()

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

    HDF5 cannot abandon a file: told of a full drive, it tries again at exit and crashes the process.
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


class ColumnReader:
    """Context manager over a finished file. Columns are read by range; nothing is read twice or ahead.

    May be forked and pickled: the copy opens the file again when it first reads, and notices if it was replaced.

    info: what made the file; kind: which store it is.
    """

    info: StoreInfo

    def __init__(self, path: Path, *, kinds: Sequence[str]) -> None:
        self._path = Path(path)
        if not self._path.is_file():
            raise SscError(f"{self._path} does not exist; run the step that makes it first")
        self._identity = self._stat()
        self._pid = os.getpid()
        self._datasets: dict[str, h5py.Dataset] = {}
        self._file: h5py.File | None = self._open()
        try:
            self._check(self._file, kinds)
            self.kind: str = self._file.attrs["format"]
            self.info = StoreInfo(
                class_names=tuple(json.loads(self._file.attrs["class_names"])),
                settings=json.loads(self._file.attrs["settings"]),
                code=self._file.attrs["code"],
                models=json.loads(self._file.attrs["models"]),
            )
        except _DAMAGE as error:
            self.close()
            raise self._unreadable(error) from error
        except SscError:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._datasets = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_datasets": {}}

    def _read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows start:stop of a column."""
        try:
            return self._dataset(name)[start:stop]
        except _DAMAGE as error:
            raise self._unreadable(error) from error

    def _read_offsets(self, name: str, rows: int) -> np.ndarray:
        """A column of rows + 1 offsets that rise from 0, checked, so that ranges taken from it are sound."""
        values = self._read(name)
        if len(values) != rows + 1 or values[0] != 0 or np.any(np.diff(values) < 0):
            raise self._damaged()
        return values

    def _attribute(self, name: str) -> Any:
        try:
            return self._handle().attrs[name]
        except _DAMAGE as error:
            raise self._unreadable(error) from error

    def _length(self, name: str) -> int:
        try:
            return len(self._dataset(name))
        except _DAMAGE as error:
            raise self._unreadable(error) from error

    def _damaged(self) -> SscError:
        return SscError(f"{self._path} is damaged or cut short; delete it and run the step that makes it again")

    def _unreadable(self, error: Exception) -> SscError:
        """The file is damaged, unless the system says that something else is wrong (a drive that is gone)."""
        if isinstance(error, OSError) and error.errno is not None:
            return SscError(f"cannot read {self._path}: {os.strerror(error.errno)}")
        return self._damaged()

    def _dataset(self, name: str) -> h5py.Dataset:
        """A column, looked up once: the look-up takes longer than a small read."""
        file = self._handle()
        if name not in self._datasets:
            self._datasets[name] = file[name]
        return self._datasets[name]

    def _handle(self) -> h5py.File:
        if self._file is None or self._pid != os.getpid():
            self.close()
            if self._stat() != self._identity:
                raise SscError(f"{self._path} was replaced while it was being read; run the same command again")
            self._file = self._open()
            self._pid = os.getpid()
        return self._file

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except FileNotFoundError as error:
            raise SscError(f"{self._path} was deleted while it was being read") from error
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _open(self) -> h5py.File:
        try:
            # A small chunk cache: gather holds many files open. No locks: a finished file is never written again.
            return h5py.File(self._path, "r", rdcc_nbytes=2**18, locking=False)
        except OSError as error:
            if error.errno is None and not h5py.is_hdf5(self._path):
                raise SscError(f"{self._path} is not an HDF5 file, or its beginning is damaged") from error
            raise self._unreadable(error) from error

    def _check(self, file: h5py.File, kinds: Sequence[str]) -> None:
        kind, version = file.attrs.get("format"), file.attrs.get("version")
        if not isinstance(kind, str) or not kind.startswith("ssc-") or version is None:
            raise SscError(f"{self._path} is an HDF5 file of another program; this step needs {' or '.join(kinds)}")
        if version > VERSION:
            raise SscError(f"{self._path} has format version {version}, newer than {VERSION}: update ssc to read it")
        if not file.attrs.get("complete", False):
            raise SscError(f"{self._path} is unfinished: the job that wrote it was stopped; run the same command again")
        if kind not in kinds:
            raise SscError(f"{self._path} is a file of kind {kind}; this step needs {' or '.join(kinds)}")


class Ids:
    """Rows by id, without a Python object an id. Unknown ids raise SscError."""

    def __init__(self, values: np.ndarray, what: str, path: Path) -> None:
        self.values = values
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]
        self._what, self._path = what, path

    def row(self, value: int) -> int:
        place = int(np.searchsorted(self._sorted, value))
        if place == len(self._sorted) or self._sorted[place] != value:
            raise SscError(f"{self._path} has no {self._what} {value}; was it made from other annotations?")
        return int(self._order[place])


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
