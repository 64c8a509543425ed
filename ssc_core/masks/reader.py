"""Read columns by range, from whole files of the right kind only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.attributes import read_attribute
from ssc_core.masks.chunks import ColumnData
from ssc_core.masks.columnar import VERSION, Column, StoreInfo
from ssc_core.pictures import MAX_PIXELS

_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError)
"""What h5py, columns and the parsing of attributes raise on a damaged file."""

_FREE_BYTES, _UNPACKED = 2**27, 16
"""A file may claim to unpack to this many bytes, and this many times its size beyond: a small one cannot fill memory.
Stores of 100,000 refs unpack to 2 to 8 times their size."""


class ColumnReader:
    """Context manager over a finished file. Columns are read by range; nothing is read twice or ahead.

    The file may be a stranger's: when it is opened, all that says where something lies (ids, rows, offsets) is checked,
    here and by subclasses; numbers and run lengths are when they are read. May be forked and pickled: the copy opens
    the file again when it first reads, and notices if it was replaced.

    kinds: the columns of each kind of file that is taken; info: what made the file; kind: which store it is.
    """

    info: StoreInfo
    _maker = "the step that makes it"

    def __init__(self, path: Path, *, kinds: Mapping[str, Mapping[str, Column]]) -> None:
        self._path = Path(path)
        if self._path.is_dir():
            raise SscError(f"{self._path} is a folder; name a file in it")
        if not self._path.is_file():
            raise SscError(f"{self._path} does not exist; run {self._maker} first")
        self._identity = self._stat()
        self._pid = os.getpid()
        self._columns: Mapping[str, Column] = {}
        self._data: dict[str, ColumnData] = {}
        self._file: h5py.File | None = self._open()
        try:
            self.kind = self._kind_of(self._file, list(kinds))
            self._columns = kinds[self.kind]
            self._check_claims()
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
            self._data = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_data": {}}

    def _read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """A copy of rows start:stop of a column."""
        try:
            return self._column(name)[start:stop]
        except _DAMAGE as error:
            raise self._unreadable(error) from error

    def _read_offsets(self, name: str, rows: int) -> np.ndarray:
        """A column of rows + 1 offsets that rise from 0, checked, so that ranges taken from it are sound."""
        values = self._read(name)
        if len(values) != rows + 1 or values[0] != 0 or not rises(values):
            raise self._damaged(f"/{name} does not rise from 0 over {rows} ranges")
        return values

    def _read_sizes(self, name: str, count: int) -> np.ndarray:
        """A column of ``count`` sizes (height, width) of photos."""
        sizes = self._read(name)
        if len(sizes) != count or np.any(sizes < 1) or np.any(sizes.prod(axis=1, dtype=np.int64) > MAX_PIXELS):
            raise self._damaged(f"/{name} has not {count} sizes of photos of 1 to {MAX_PIXELS} pixels")
        return sizes

    def _read_info(self) -> StoreInfo:
        """What made the file, from its attributes."""
        try:
            info = StoreInfo(
                class_names=tuple(json.loads(self._attribute("class_names"))),
                settings=json.loads(self._attribute("settings")),
                code=self._attribute("code"),
                models=json.loads(self._attribute("models")),
                refs=self._attribute("refs", ""),
            )
            texts = (*info.class_names, info.code, *info.models, *info.models.values())
            if not all(isinstance(text, str) for text in texts) or not isinstance(info.settings, dict):
                raise ValueError("its attributes are no names, settings, code and models")
            if info.refs and not re.fullmatch("[0-9a-f]{16}", info.refs):
                raise ValueError("its attribute refs is no digest")
        except (*_DAMAGE, AttributeError) as error:
            raise self._unreadable(error) from error
        return info

    def _attribute(self, name: str, default: Any = None) -> Any:
        """An attribute. Raises SscError where it is missing and has no ``default``."""
        try:
            value = read_attribute(self._handle().attrs, name)
        except _DAMAGE as error:
            raise self._unreadable(error) from error
        if value is None:
            value = default
        if value is None:
            raise self._damaged(f"attribute {name} is missing")
        return value

    def _length(self, name: str) -> int:
        try:
            return len(self._column(name))
        except _DAMAGE as error:
            raise self._unreadable(error) from error

    def _damaged(self, what: str) -> SscError:
        return SscError(f"{self._path} is damaged or cut short ({what}); delete it and run {self._maker} again")

    def _unreadable(self, error: Exception) -> SscError:
        """The file is damaged, unless the system says that something else is wrong (a drive that is gone)."""
        if isinstance(error, OSError) and error.errno is not None:
            return SscError(f"cannot read {self._path}: {os.strerror(error.errno)}")
        return self._damaged(f"{error}"[:200])

    def _column(self, name: str) -> ColumnData:
        """A column, looked up once: the look-up takes longer than a small read."""
        file = self._handle()
        if name not in self._data:
            self._data[name] = ColumnData(file, name, self._columns[name])
        return self._data[name]

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
            # No chunk cache: ``ColumnData`` has its own. No locks: a finished file is never written again.
            return h5py.File(self._path, "r", rdcc_nbytes=0, locking=False)
        except OSError as error:
            if error.errno is None and not h5py.is_hdf5(self._path):
                raise SscError(f"{self._path} is not an HDF5 file, or its beginning is damaged") from error
            raise self._unreadable(error) from error

    def _kind_of(self, file: h5py.File, kinds: list[str]) -> str:
        """The file's kind, one of ``kinds``. Raises SscError for another one, an unfinished and a newer file."""
        kind, version = read_attribute(file.attrs, "format"), read_attribute(file.attrs, "version")
        if not isinstance(kind, str) or not kind.startswith("ssc-") or not isinstance(version, np.integer):
            raise SscError(f"{self._path} is an HDF5 file of another program; this step needs {' or '.join(kinds)}")
        if version != VERSION:
            raise SscError(
                f"{self._path} has format version {version}, this program reads {VERSION}: update ssc to read it"
            )
        if read_attribute(file.attrs, "complete") is not np.True_:
            raise SscError(f"{self._path} is unfinished: the job that wrote it was stopped; run the same command again")
        if kind not in kinds:
            raise SscError(f"{self._path} is a file of kind {kind:.100}; this step needs {' or '.join(kinds)}")
        return kind

    def _check_claims(self) -> None:
        """All columns are there, and not larger than a file of this size can hold."""
        claimed = sum(self._column(name).nbytes for name in self._columns)
        size = self._identity[1]
        if claimed > _FREE_BYTES + _UNPACKED * size:
            raise ValueError(f"a file of {size} bytes that claims to hold {claimed}")


def rises(values: np.ndarray) -> bool:
    """Whether values never fall. Compared, not subtracted: differences overflow."""
    return bool(np.all(values[1:] >= values[:-1]))


class Ids:
    """Rows by id, without a Python object an id. Unknown ids raise SscError, and so do ids that are there twice."""

    def __init__(self, values: np.ndarray, what: str, path: Path) -> None:
        self.values = values
        self._order = None if rises(values) else np.argsort(values, kind="stable")
        self._sorted = values if self._order is None else values[self._order]
        self._what, self._path = what, path
        if len(twice := np.flatnonzero(np.diff(self._sorted) == 0)):
            raise SscError(
                f"{path} is damaged: {what} {self._sorted[twice[0]]} is in it twice; delete it and make it again"
            )

    def find(self, value: int) -> int | None:
        """The row of an id, None for an unknown one."""
        place = int(np.searchsorted(self._sorted, value))
        if place == len(self._sorted) or self._sorted[place] != value:
            return None
        return place if self._order is None else int(self._order[place])

    def row(self, value: int) -> int:
        row = self.find(value)
        if row is None:
            raise SscError(f"{self._path} has no {self._what} {value}; was it made from other annotations?")
        return row
