"""Ground-truth masks in one file, ``truth.h5``. Evaluation opens it; no other stage ever does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import Column, offsets
from ssc_core.masks.reader import ColumnReader, Ids
from ssc_core.masks.writer import ColumnWriter

FORMAT = "ssc-truth"
VERSION = 1

_COLUMNS = {
    "ref/id": Column("<i8", 4096),
    "ref/size": Column("<i4", 4096, width=2),
    "ref/rle_first": offsets(4096),
    "rle": Column("|u1", 2**16),
}


@dataclass(frozen=True, slots=True)
class TruthMask:
    """Ground truth of one ref. rle: compressed COCO RLE."""

    ref_id: int
    height: int
    width: int
    rle: bytes


class TruthWriter(ColumnWriter):
    """Context manager that writes ``truth.h5``, ref by ref. See ``ColumnWriter``.

    Datasets: /ref/id int64 (R,), /ref/size int32 (R, 2) height, width, /ref/rle_first int64 (R+1,), /rle uint8.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, None, kind=FORMAT, columns=_COLUMNS, attributes={"version": VERSION})

    def append(self, mask: TruthMask) -> None:
        """Add a ref. Raises SscError for one that was added before."""
        self._claim("ref", [mask.ref_id])
        self._append("ref/id", mask.ref_id)
        self._append("ref/size", (mask.height, mask.width))
        self._append_blobs("rle", "ref/rle_first", [mask.rle])


def write_truth(path: Path, masks: Iterable[TruthMask]) -> None:
    """Write ``truth.h5``, whole or not at all. The same masks give the same bytes."""
    with TruthWriter(path) as writer:
        for mask in masks:
            writer.append(mask)


class TruthStore(ColumnReader):
    """Ground truth by ref id, read when it is asked for.

    Raises SscError when the file is missing, damaged, unfinished, or not a truth file.
    """

    _maker = "index_refs"

    def __init__(self, path: Path) -> None:
        super().__init__(path, kinds={FORMAT: _COLUMNS})
        self._refs = Ids(self._read("ref/id"), "ref", self._path)
        self._size = self._read_sizes("ref/size", len(self._refs.values))
        self._first = self._read_offsets("ref/rle_first", len(self._refs.values))
        if self._first[-1] != self._length("rle") or np.any(np.diff(self._first) == 0):
            raise self._damaged("/ref/rle_first has not a mask of every ref")

    @property
    def ref_ids(self) -> tuple[int, ...]:
        """Refs with ground truth, in the annotation file's order."""
        return tuple(self._refs.values.tolist())

    def has(self, ref_id: int) -> bool:
        """Whether the ref has ground truth."""
        return self._refs.find(ref_id) is not None

    def code(self, ref_id: int) -> tuple[bytes, rle.Size] | None:
        """COCO compressed RLE, not yet checked, and (height, width); None when the ref has no ground truth."""
        row = self._refs.find(ref_id)
        if row is None:
            return None
        size = (int(self._size[row, 0]), int(self._size[row, 1]))
        return self._read("rle", *self._first[row : row + 2]).tobytes(), size

    def mask(self, ref_id: int) -> np.ndarray | None:
        """bool (H, W) at the photo's resolution, None when the ref has no ground truth. Raises SscError for damage."""
        found = self.code(ref_id)
        if found is None:
            return None
        code, size = found
        try:
            return rle.decode([code], size)[0]
        except SscError as error:
            raise SscError(
                f"{self._path} is damaged at ref {ref_id} ({error}); delete it and run {self._maker} again"
            ) from error
