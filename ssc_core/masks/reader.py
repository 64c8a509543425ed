"""Read columns by range, from whole files of the right kind only."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.attributes import read_text
from ssc_core.masks.columnar import VERSION, StoreInfo

_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError)
"""What h5py and the parsing of attributes raise on a damaged file."""


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
            self.kind: str = self._attribute("format")
            self.info = StoreInfo(
                class_names=tuple(json.loads(self._attribute("class_names"))),
                settings=json.loads(self._attribute("settings")),
                code=self._attribute("code"),
                models=json.loads(self._attribute("models")),
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
            value = read_text(self._handle().attrs, name)
        except _DAMAGE as error:
            raise self._unreadable(error) from error
        if value is None:
            raise self._damaged()
        return value

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
        kind, version = read_text(file.attrs, "format"), file.attrs.get("version")
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
