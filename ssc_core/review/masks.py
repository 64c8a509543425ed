"""Masks that a person makes: of a box by a segmenter, or uploaded as a PNG; looked at before they count."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.reviews import Decision, Review
from ssc_core.masks.runs import Size
from ssc_core.pictures import BadImage
from ssc_core.refer.images import read_mask_png
from ssc_core.refer.ref import Ref

KEPT = 64
"""Drafts that are kept; older ones are forgotten."""

LEAST_SIDE = 1.0
"""Of a box, pixels."""

_PNG = b"\x89PNG\r\n\x1a\n"

LoadSegmenter = Callable[[], Any]
"""Makes a ``contracts.Segmenter``, once. Raises SscError, for the person who draws, where there is none."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A mask that somebody made for a ref and did not decide on yet. decision: what it would be, drawn or uploaded."""

    ref: Ref
    decision: Decision
    rle: bytes

    @property
    def size(self) -> Size:
        return self.ref.height, self.ref.width

    def review(self, who: str) -> Review:
        ref = self.ref
        return Review(ref.ref_id, ref.file_name, self.decision, self.size, self.rle, who, sentences=ref.sentences)


class Drafts:
    """By number, the last ``KEPT``. Safe for several threads."""

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), 0
        self._kept: dict[int, Draft] = {}

    def add(self, draft: Draft) -> int:
        """Its number. Raises SscError for a mask without a pixel, or one that no line of a review can hold."""
        if not rle.areas([draft.rle], draft.size)[0]:
            raise SscError("The mask has no pixel.")
        draft.review("")  # says what is wrong with it
        with self._lock:
            self._last += 1
            self._kept[self._last] = draft
            self._kept.pop(self._last - KEPT, None)
            return self._last

    def get(self, number: int | None) -> Draft:
        """Raises SscError for one that there is not, or not any more."""
        with self._lock:
            if number not in self._kept:
                raise SscError("That mask is not here any more; draw or upload it again.")
            return self._kept[number]


class BoxMasks:
    """Masks of boxes by a segmenter that is loaded when the first is asked for. One at a time, from any thread."""

    def __init__(self, load: LoadSegmenter) -> None:
        self._load, self._lock = load, threading.Lock()
        self._segmenter: Any = None

    def __call__(self, photo: np.ndarray, box: Sequence[float]) -> bytes:
        """COCO compressed RLE. photo: RGB uint8 (H, W, 3); box: left, top, right, bottom in its pixels.

        Raises SscError for a box that is none, and where there is no segmenter.
        """
        corners = clipped(box, photo.shape[:2])
        with self._lock:
            if self._segmenter is None:
                self._segmenter = self._load()
            (found,) = self._segmenter.segment([photo], [corners[None]])
        return rle.encode(found.masks[:1])[0]


def clipped(box: Sequence[float], size: tuple[int, ...]) -> np.ndarray:
    """float32 (4,), inside a photo of (height, width). Raises SscError for what leaves nothing there."""
    height, width = size[:2]
    try:
        corners = np.array([float(one) for one in box])
    except OverflowError:  # whole numbers have no bound
        corners = np.array([np.inf])
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise SscError("A box is four numbers: left, top, right, bottom.")
    corners = corners.clip(0, [width, height, width, height])
    if (corners[2:] - corners[:2]).min() < LEAST_SIDE:
        raise SscError(f"The box has no pixel of the photo, which has {width} x {height} (width x height).")
    return corners.astype(np.float32)


def read_upload(content: bytes, size: rle.Size) -> bytes:
    """COCO compressed RLE of a PNG's mask: what is neither black nor transparent. size: (height, width) of the photo.

    Raises BadImage for what is no PNG of that size, before any pixel is decoded.
    """
    if not content.startswith(_PNG):
        raise BadImage("A mask is a PNG of the photo's size, and that file is no PNG.")
    with tempfile.TemporaryDirectory(prefix="ssc-review-") as folder:
        path = Path(folder) / "upload.png"
        try:
            path.write_bytes(content)
            mask, _ = read_mask_png(path, size)
        except BadImage as error:
            raise BadImage(str(error).replace(f"mask {path}", "the mask").replace(str(path), "the file")) from error
        except OSError as error:
            raise SscError(f"{folder} cannot be written to ({error.strerror}); the mask was not read") from error
    return rle.encode(mask[None])[0]
