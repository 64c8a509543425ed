"""boxes.h5 and masks.h5: what Segment found, image by image, and which instances are each ref's candidates.

    /image/id int64 (I,)   /image/size int32 (I, 2) height, width   /image/first int64 (I + 1,)  instance rows
    /instance/box_xyxy f4 (N, 4)   /instance/box_score f4 (N,)   /instance/label i4 (N,)
    /ref/id int64 (R,)   /ref/image int32 (R,) image row   /ref/first int64 (R + 1,)   /ref/candidate int32
        instance rows

masks.h5 has in addition

    /instance/mask_score f4 (N,)   /instance/rle_first int64 (N + 1,)   /rle uint8 (bytes,)  COCO compressed RLE

Instances may overlap: nothing is merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import Column, StoreInfo, offsets
from ssc_core.masks.reader import ColumnReader, Ids, rises
from ssc_core.masks.writer import ColumnWriter

Rows = Sequence[int] | np.ndarray
"""Rows of a column, or indices of instances."""

BOXES, MASKS = "ssc-boxes", "ssc-masks"
_ROWS_AT_ONCE = 2**16
"""Rows that are checked at a time when a file is opened."""

_BOX_COLUMNS = {
    "image/id": Column("<i8", 4096),
    "image/size": Column("<i4", 4096, width=2),
    "image/first": offsets(4096),
    "instance/box_xyxy": Column("<f4", 1024, width=4),
    "instance/box_score": Column("<f4", 1024),
    "instance/label": Column("<i4", 1024),
    "ref/id": Column("<i8", 4096),
    "ref/image": Column("<i4", 4096),
    "ref/first": offsets(4096),
    "ref/candidate": Column("<i4", 1024),
}
_MASK_COLUMNS = {
    "instance/mask_score": Column("<f4", 1024),
    "instance/rle_first": offsets(1024),
    "rle": Column("|u1", 2**13),
}


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances of one image, or the candidates of one ref.

    rows: int64 (N,), instance rows of the file; boxes_xyxy: float32 (N, 4), absolute pixels; box_scores: float32 (N,);
    labels: int32 (N,), index into the store's class names; mask_scores: float32 (N,), predicted IoU, NaN in boxes.h5.
    """

    rows: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    labels: np.ndarray
    mask_scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


class MaskStoreWriter(ColumnWriter):
    """Context manager that writes boxes.h5 or masks.h5, image by image. See ``ColumnWriter``."""

    def __init__(self, path: Path, info: StoreInfo, *, with_masks: bool) -> None:
        columns = _BOX_COLUMNS | (_MASK_COLUMNS if with_masks else {})
        super().__init__(path, info, kind=MASKS if with_masks else BOXES, columns=columns)
        self._with_masks = with_masks
        self._classes = len(info.class_names)
        self._image_count = self._instance_count = 0

    def append_image(
        self,
        image_id: int,
        size: tuple[int, int],
        *,
        boxes_xyxy: np.ndarray,
        box_scores: np.ndarray,
        labels: np.ndarray,
        rles: Sequence[bytes] | None = None,
        mask_scores: np.ndarray | None = None,
        candidates: Mapping[int, Rows] | None = None,
    ) -> None:
        """Add an image of ``size`` (height, width) with its N instances; N may be 0.

        boxes_xyxy: (N, 4); box_scores: (N,); labels: (N,), index into the class names. rles and mask_scores, N each,
        are given exactly when the file is one with masks. candidates: ref id -> indices (0 to N - 1) of its candidates
        among these instances, in order; a ref without candidates is given too, as an empty sequence.

        Raises SscError for an image or ref that was added before and for a malformed RLE, ValueError for wrong shapes.
        """
        columns = {
            "instance/box_xyxy": np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4),
            "instance/box_score": np.asarray(box_scores, dtype=np.float32),
            "instance/label": np.asarray(labels, dtype=np.int32),
        }
        if (rles is not None, mask_scores is not None) != (self._with_masks, self._with_masks):
            raise ValueError("rles and mask_scores go with with_masks=True, and only with it")
        if rles is not None:
            columns["instance/mask_score"] = np.asarray(mask_scores, dtype=np.float32)
        count = len(columns["instance/label"])
        self._check_instances(columns, count if rles is None else len(rles))
        chosen = {ref: np.asarray(indices, dtype=np.int64) for ref, indices in (candidates or {}).items()}
        if any(np.any((indices < 0) | (indices >= count)) for indices in chosen.values()):
            raise ValueError(f"candidates {candidates} are not all indices of the {count} instances")
        if rles is not None:
            rle.check(rles, size, where=f"image {image_id}")

        self._claim("image", [image_id])
        self._claim("ref", chosen)
        self._append("image/id", image_id)
        self._append("image/size", size)
        self._append_range("image/first", count)
        for name, values in columns.items():
            self._append(name, values)
        if rles is not None:
            self._append_blobs("rle", "instance/rle_first", rles)
        self._append_refs(chosen)
        self._image_count += 1
        self._instance_count += count

    def _append_refs(self, chosen: Mapping[int, np.ndarray]) -> None:
        for ref_id, indices in chosen.items():
            self._append("ref/id", ref_id)
            self._append("ref/image", self._image_count)
            self._append("ref/candidate", self._instance_count + indices)
            self._append_range("ref/first", len(indices))

    def _check_instances(self, columns: Mapping[str, np.ndarray], count: int) -> None:
        lengths = {name: len(values) for name, values in columns.items()}
        if set(lengths.values()) != {count}:
            raise ValueError(f"one value per instance is needed, not {lengths} and {count} masks")
        labels = columns["instance/label"]
        if np.any((labels < 0) | (labels >= self._classes)):
            raise ValueError(f"labels {labels.tolist()} are not all indices of the {self._classes} class names")


class MaskStore(ColumnReader):
    """boxes.h5 or masks.h5, opened for reading. The cost of reading a ref does not depend on the size of the file.

    info: what made the file; has_masks: whether it is masks.h5. Raises SscError for a file that is missing, foreign,
    damaged, unfinished, newer or of the other kind, and for ids that it does not have.
    """

    def __init__(self, path: Path, with_masks: bool | None = None) -> None:
        kinds = {BOXES: _BOX_COLUMNS, MASKS: _BOX_COLUMNS | _MASK_COLUMNS}
        super().__init__(path, kinds={kind: kinds[kind] for kind in kinds if with_masks in (None, kind == MASKS)})
        self.info = self._read_info()
        self.has_masks = self.kind == MASKS
        self._images = Ids(self._read("image/id"), "image", self._path)
        self._refs = Ids(self._read("ref/id"), "ref", self._path)
        self._image_first = self._read_offsets("image/first", len(self.image_ids))
        self._ref_first = self._read_offsets("ref/first", len(self))
        self._ref_image = self._read("ref/image")
        self._check_lengths()
        self._check_values()

    @classmethod
    def open(cls, path: Path, with_masks: bool | None = None) -> MaskStore:
        """Open a file; ``with_masks`` demands the one kind or the other."""
        return cls(path, with_masks)

    @property
    def image_ids(self) -> np.ndarray:
        """int64 (I,), in the file's order."""
        return self._images.values

    @property
    def ref_ids(self) -> np.ndarray:
        """int64 (R,), in the file's order: image by image."""
        return self._refs.values

    def __len__(self) -> int:
        """Number of refs."""
        return len(self._refs.values)

    def image_size(self, image_id: int) -> tuple[int, int]:
        """(height, width)."""
        return self._size(self._images.row(image_id))

    def instances(self, image_id: int) -> Instances:
        """All instances of an image."""
        row = self._images.row(image_id)
        return self._instances(np.arange(self._image_first[row], self._image_first[row + 1]))

    def candidates(self, ref_id: int) -> Instances:
        """A ref's candidates; may be empty."""
        row = self._refs.row(ref_id)
        return self._instances(self._read("ref/candidate", *self._ref_first[row : row + 2]).astype(np.int64))

    def image_of(self, ref_id: int) -> int:
        """Id of a ref's image."""
        return int(self.image_ids[self._ref_image[self._refs.row(ref_id)]])

    def size(self, ref_id: int) -> tuple[int, int]:
        """(height, width) of a ref's image."""
        return self._size(int(self._ref_image[self._refs.row(ref_id)]))

    def all_refs_of(self, image_id: int) -> list[int]:
        """Ids of the refs of an image, in the file's order; the file keeps them together."""
        row = self._images.row(image_id)
        # in the column's own type: else NumPy converts all of it, for every photo
        start, stop = np.searchsorted(self._ref_image, np.array([row, row + 1], self._ref_image.dtype))
        return self.ref_ids[start:stop].tolist()

    def rles(self, rows: Rows) -> list[bytes]:
        """COCO compressed RLEs of instance rows of one image."""
        index = np.asarray(rows, dtype=np.int64)
        if len(index) == 0:
            return []
        self._image_row(index)
        low = int(index.min())
        first = self._read("instance/rle_first", low, int(index.max()) + 2)
        data = self._read("rle", int(first[0]), int(first[-1])).tobytes()
        starts, ends = first[index - low] - first[0], first[index - low + 1] - first[0]
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]

    def masks(self, rows: Rows) -> np.ndarray:
        """Masks of instance rows of one image, bool (N, H, W). No rows give (0, 0, 0): their image is unknown."""
        index = np.asarray(rows, dtype=np.int64)
        if len(index) == 0:
            return np.zeros((0, 0, 0), dtype=bool)
        return self._decode(index, self._image_row(index))

    def candidate_masks(self, ref_id: int) -> np.ndarray:
        """Masks of a ref's candidates, bool (N, H, W); (0, H, W) where it has none."""
        return self._decode(self.candidates(ref_id).rows, int(self._ref_image[self._refs.row(ref_id)]))

    def _check_lengths(self) -> None:
        instances = int(self._image_first[-1])
        lengths = {"ref/image": len(self), "ref/candidate": int(self._ref_first[-1])}
        lengths |= dict.fromkeys(("instance/box_xyxy", "instance/box_score", "instance/label"), instances)
        if self.has_masks:
            lengths |= {"instance/mask_score": instances, "instance/rle_first": instances + 1}
        for name, length in lengths.items():
            if self._length(name) != length:
                raise self._damaged(f"/{name} has {self._length(name)} rows, not {length}")
        if not _rises_below(self._ref_image, len(self.image_ids)):
            raise self._damaged("/ref/image has not the images' rows in order")

    def _check_values(self) -> None:
        """Sizes, labels, and candidates, which are instances of their ref's own image."""
        self._read_sizes("image/size", len(self.image_ids))
        for start in range(0, int(self._image_first[-1]), _ROWS_AT_ONCE):
            if not _within(self._read("instance/label", start, start + _ROWS_AT_ONCE), 0, len(self.info.class_names)):
                raise self._damaged(
                    f"/instance/label has not indices of {len(self.info.class_names)} class names alone"
                )
        for start in range(0, len(self), _ROWS_AT_ONCE):
            first = self._ref_first[start : start + _ROWS_AT_ONCE + 1]
            image = np.repeat(self._ref_image[start : start + _ROWS_AT_ONCE], np.diff(first))
            rows = self._read("ref/candidate", int(first[0]), int(first[-1]))
            if not _within(rows, self._image_first[image], self._image_first[image + 1]):
                raise self._damaged("/ref/candidate has rows that are not of the ref's image")
        if self.has_masks and self._read_offsets("instance/rle_first", int(self._image_first[-1]))[-1] != self._length(
            "rle"
        ):
            raise self._damaged("/instance/rle_first does not end where /rle does")

    def _decode(self, rows: np.ndarray, image_row: int) -> np.ndarray:
        where = f"{self._path}, image {self.image_ids[image_row]}"
        return rle.decode(self.rles(rows), self._size(image_row), where=where)

    def _size(self, image_row: int) -> tuple[int, int]:
        height, width = self._read("image/size", image_row, image_row + 1)[0]
        return int(height), int(width)

    def _image_row(self, rows: np.ndarray) -> int:
        """The image that all ``rows`` belong to."""
        if not self.has_masks:
            raise SscError(f"{self._path} holds boxes without masks; use the masks.h5 made from it")
        images = np.searchsorted(self._image_first, rows, side="right") - 1
        if rows.min() < 0 or rows.max() >= self._image_first[-1] or images.min() != images.max():
            raise ValueError(f"instance rows {rows.tolist()} are not rows of one image")
        return int(images[0])

    def _instances(self, rows: np.ndarray) -> Instances:
        """Read the range that ``rows`` span: they are of one image."""
        low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)

        def column(name: str) -> np.ndarray:
            return self._read(name, low, high)[rows - low]

        scores = column("instance/mask_score") if self.has_masks else np.full(len(rows), np.nan, dtype=np.float32)
        return Instances(
            rows=rows,
            boxes_xyxy=column("instance/box_xyxy"),
            box_scores=column("instance/box_score"),
            labels=column("instance/label"),
            mask_scores=scores,
        )


def _within(values: np.ndarray, low: Any, high: Any) -> bool:
    """Whether all values are at least ``low`` and below ``high``."""
    return bool(np.all((values >= low) & (values < high)))


def _rises_below(values: np.ndarray, end: int) -> bool:
    """Whether values never fall and all are within 0 to end - 1."""
    return len(values) == 0 or bool(values[0] >= 0 and values[-1] < end and rises(values))
