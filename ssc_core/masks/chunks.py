"""One column of an open HDF5 file, read by range, without trusting the file.

A column must be what ``writer.py`` makes: a dataset of its own (no link to elsewhere, no data outside the file, no
virtual data), in chunks, packed by shuffle and deflate. Chunks are unpacked here: HDF5's own filters unpack whatever a
chunk claims to be, and hand out other memory where it is too short. Each chunk ends in zlib's Adler-32 sum of its
content, which is how damage is found; HDF5 itself has checksums on all that is not chunks.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from ssc_core.masks.attributes import unpack
from ssc_core.masks.columnar import Column

_MOST_CHUNK_BYTES = 2**20
_CHUNKS_KEPT = 2
"""Unpacked, of each column: rows are mostly read in order, and gather holds many files open."""


class ColumnData:
    """A column. Raises ValueError or LookupError when it is not what ``column`` says, here or when it is read.

    nbytes: what it claims to unpack to.
    """

    def __init__(self, file: h5py.File, name: str, column: Column) -> None:
        self._name = name
        self._dataset = dataset = _own_dataset(file, name)
        plan = dataset.id.get_create_plist()
        if plan.get_layout() != h5py.h5d.CHUNKED:
            raise ValueError(f"/{name} is external, virtual or whole, not in chunks")
        self._dtype = np.dtype(column.dtype)
        if dataset.dtype != self._dtype or dataset.shape[1:] != column.tail or dataset.ndim != 1 + len(column.tail):
            raise ValueError(f"/{name} holds {dataset.dtype} {dataset.shape}, not {self._dtype} (n, {column.tail})")
        self._rows, *tail = dataset.chunks
        self._chunk_shape = (self._rows, *tail)
        self._chunk_bytes = int(np.prod(self._chunk_shape, dtype=np.int64)) * self._dtype.itemsize
        if tuple(tail) != column.tail or self._chunk_bytes > _MOST_CHUNK_BYTES:
            raise ValueError(f"/{name} has chunks of {dataset.chunks}")
        filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        shuffled = [h5py.h5z.FILTER_SHUFFLE] if self._dtype.itemsize > 1 else []
        if filters != [*shuffled, h5py.h5z.FILTER_DEFLATE]:
            raise ValueError(f"/{name} is packed by filters {filters}")
        self._length = dataset.shape[0]
        self.nbytes = self._length * self._chunk_bytes // self._rows
        self._kept: tuple[tuple[int, np.ndarray], ...] = ()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: slice) -> np.ndarray:
        """A copy of a range of rows. Floats are finite."""
        start, stop, _ = rows.indices(self._length)
        found = np.empty((max(0, stop - start), *self._chunk_shape[1:]), self._dtype)
        for number in range(start // self._rows, -(-stop // self._rows) if stop > start else 0):
            first = number * self._rows
            low, high = max(start, first), min(stop, first + self._rows)
            found[low - start : high - start] = self._chunk(number)[low - first : high - first]
        return found

    def _chunk(self, number: int) -> np.ndarray:
        for known, values in self._kept:
            if known == number:
                return values
        values = self._unpacked(number)
        self._kept = ((number, values), *self._kept[: _CHUNKS_KEPT - 1])  # in one step: threads read side by side
        return values

    def _unpacked(self, number: int) -> np.ndarray:
        place = (number * self._rows, *(0 for _ in self._chunk_shape[1:]))
        # deflate makes what cannot be packed a little longer; what exceeds the buffer is refused
        buffer = np.empty(self._chunk_bytes + self._chunk_bytes // 100 + 64, np.uint8)
        skipped, packed = self._dataset.id.read_direct_chunk(place, out=buffer)
        content = np.frombuffer(unpack(packed, self._chunk_bytes), np.uint8)
        if skipped or len(content) != self._chunk_bytes:
            raise ValueError(f"/{self._name} has a chunk {number} that is too short, or not packed as it should be")
        values = _unshuffled(content, self._dtype).reshape(self._chunk_shape)
        if self._dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"/{self._name} has values that are not finite (NaN or infinite)")
        return values


def _unshuffled(content: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """HDF5's shuffle undone: first bytes of all values, then second bytes, and so on, to values."""
    if dtype.itemsize == 1:
        return content.view(dtype)
    values = np.empty((len(content) // dtype.itemsize, dtype.itemsize), np.uint8)
    for place, plane in enumerate(content.reshape(dtype.itemsize, -1)):
        values[:, place] = plane
    return values.view(dtype)


def _own_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """The dataset of that path, each step of which is a hard link: soft and external ones lead elsewhere."""
    place: Any = file
    for step in name.split("/"):
        if not isinstance(place, h5py.Group) or not place.id.links.exists(step.encode()):
            raise LookupError(f"/{name} is missing")
        if place.id.links.get_info(step.encode()).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"/{name} is a link to elsewhere")
        place = place[step]
    if not isinstance(place, h5py.Dataset):
        raise LookupError(f"/{name} is no dataset")
    return place
