"""Predicted masks as files: overlay and mask PNGs beside each other, and one JSON with COCO run lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssc_core.files import atomic_path, write_json
from ssc_core.masks import rle

KINDS = ("overlay", "mask", "rle")
RLE_FILE = "predictions.json"
OVERLAY_SIDE = 480
"""Pixels of an overlay's longer side at least: on a small photo the outline would cover what it surrounds."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A sentence's mask, bool (H, W) in the pixels of its photo, RGB uint8 (H, W, 3).

    image: name of the photo, relative; details: more plain values for the JSON, such as scores.
    """

    image: str
    sentence: str
    photo: np.ndarray
    mask: np.ndarray
    details: dict[str, Any]


class OutputWriter:
    """Writes predictions to ``folder`` as they come: {photo}_{n}.overlay.png, {photo}_{n}.mask.png and, when closed,
    predictions.json. n counts the sentences of a photo from 1. Each file is whole or not there.

    kinds: some of ``KINDS``. A mask PNG has 255 at the object and 0 elsewhere. The JSON is a list of COCO results
    (``segmentation`` as ``pycocotools.mask`` reads it, ``bbox`` x, y, width, height, ``area``) with ``image``,
    ``sentence`` and ``files``.
    """

    def __init__(self, folder: Path, kinds: Collection[str]) -> None:
        self._folder, self._kinds = Path(folder), frozenset(kinds)
        self._numbers: Counter[str] = Counter()
        self._rows: list[dict[str, Any]] = []

    def add(self, prediction: Prediction) -> list[Path]:
        """Write a prediction's pictures. Returns their paths."""
        stem = Path(prediction.image).with_suffix("").as_posix()
        self._numbers[stem] += 1
        base = self._folder / f"{stem}_{self._numbers[stem]}"
        written = []
        if "overlay" in self._kinds:
            from ssc_core.report.overlay import overlay  # matplotlib's fonts take a while to import

            side = max(OVERLAY_SIDE, *prediction.photo.shape[:2])
            picture = overlay(prediction.photo, prediction.mask, sentence=prediction.sentence, side=side)
            written.append(_write_png(base.with_name(f"{base.name}.overlay.png"), picture))
        if "mask" in self._kinds:
            written.append(_write_png(base.with_name(f"{base.name}.mask.png"), prediction.mask.astype(np.uint8) * 255))
        if "rle" in self._kinds:
            self._rows.append(_row(prediction, [path.relative_to(self._folder) for path in written]))
        return written

    def close(self) -> Path | None:
        """Write the JSON, when it is wanted. Returns its path."""
        if "rle" not in self._kinds:
            return None
        write_json(self._folder / RLE_FILE, self._rows)
        return self._folder / RLE_FILE


def _row(prediction: Prediction, files: Iterable[Path]) -> dict[str, Any]:
    height, width = prediction.mask.shape
    counts = rle.encode(prediction.mask[None])[0]
    return {
        "image": prediction.image,
        "sentence": prediction.sentence,
        "segmentation": {"size": [height, width], "counts": counts.decode("ascii")},
        "bbox": rle.boxes([counts], (height, width))[0].tolist(),
        "area": int(np.count_nonzero(prediction.mask)),
        "files": [path.as_posix() for path in files],
        **prediction.details,
    }


def _write_png(path: Path, picture: np.ndarray) -> Path:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        Image.fromarray(picture).save(file, format="PNG")
    return path
