"""Ground-truth masks in one file, ``truth.h5``. Evaluation opens it; no other stage ever does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.attributes import read_text
from ssc_core.masks.columnar import Column, offsets
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


class TruthStore:
    """Ground truth by ref id. Holds the run-length codes in memory (about 15 MB for RefCOCO), so no file stays open.

    Raises SscError when the file is missing, damaged, unfinished, or not a truth file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise SscError(f"{self.path} does not exist; the rule index_refs makes it")
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                self._check_header(file)
                ids = file["ref/id"][:]
                self._size = file["ref/size"][:]
                self._first = file["ref/rle_first"][:]
                self._rle = file["rle"][:].tobytes()
        except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
            raise SscError(f"{self.path} is damaged ({error}); delete it and run index_refs again") from error
        self._row = {int(ref_id): row for row, ref_id in enumerate(ids)}
        consistent = (
            self._first.shape == (len(ids) + 1,)
            and self._size.shape == (len(ids), 2)
            and self._first[0] == 0
            and self._first[-1] == len(self._rle)
            and (np.diff(self._first) > 0).all()
        )
        if not consistent or len(self._row) != len(ids):
            raise SscError(f"{self.path} is damaged (its tables disagree); delete it and run index_refs again")

    @property
    def ref_ids(self) -> tuple[int, ...]:
        """Refs with ground truth, in the annotation file's order."""
        return tuple(self._row)

    def has(self, ref_id: int) -> bool:
        """Whether the ref has ground truth."""
        return int(ref_id) in self._row

    def mask(self, ref_id: int) -> np.ndarray | None:
        """bool (H, W) at the photo's resolution, None when the ref has no ground truth. Raises SscError for damage."""
        row = self._row.get(int(ref_id))
        if row is None:
            return None
        size = (int(self._size[row, 0]), int(self._size[row, 1]))
        code = self._rle[self._first[row] : self._first[row + 1]]
        try:
            return rle.decode([code], size)[0]
        except SscError as error:
            raise SscError(
                f"{self.path} is damaged at ref {ref_id} ({error}); delete it and run index_refs again"
            ) from error

    def _check_header(self, file: h5py.File) -> None:
        found = read_text(file.attrs, "format")
        if found != FORMAT:
            raise SscError(f"{self.path} is no file of ground-truth masks (format {found!r:.100})")
        if file.attrs.get("version") != VERSION:
            raise SscError(
                f"{self.path} has version {file.attrs.get('version')}, this program reads {VERSION}; "
                "run index_refs again"
            )
        if not file.attrs.get("complete", False):
            raise SscError(f"{self.path} is unfinished: the job that wrote it was stopped; run index_refs again")
