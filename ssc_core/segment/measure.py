"""How good candidates are at best: the models of Segment on annotated photos, asked for the annotated classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssc_core.config.labelling import CandidateSettings, CompatSettings, DetectSettings, SegmentSettings
from ssc_core.errors import SscError
from ssc_core.files import read_json
from ssc_core.masks import rle
from ssc_core.refer.images import load_image
from ssc_core.refer.segmentation import segmentation_to_rle
from ssc_core.segment.models import CandidateModels
from ssc_core.segment.tasks import ImageTask, RefQuery

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
"""COCO's ranges of an object's area, pixels."""


@dataclass(frozen=True, slots=True)
class BestCandidates:
    """One entry an annotated object. areas: int64 (N,), pixels; ious: float64 (N,), 0 where nothing was found."""

    areas: np.ndarray
    ious: np.ndarray

    def of_size(self, low: float, high: float) -> np.ndarray:
        """IoUs of the objects whose area is at least ``low`` and below ``high``."""
        return self.ious[(self.areas >= low) & (self.areas < high)]


def measure_candidates(
    *,
    annotations: Path,
    images: Path,
    detect: DetectSettings,
    segment: SegmentSettings,
    device: str = "auto",
    threads: int = 1,
) -> BestCandidates:
    """Ask for every photo's annotated classes and compare each object with the best mask of its class.

    annotations: COCO instances JSON; images: folder of its photos. Crowds are left out, as no expression refers to one,
    and objects without a mask. Raises SscError when a file is missing or damaged.
    """
    data = read_json(annotations)
    try:
        names = {row["id"]: row["name"] for row in data["categories"]}
        by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in data["annotations"]:
            if not row.get("iscrowd") and row.get("segmentation"):
                by_image[row["image_id"]].append(row | {"class": names[row["category_id"]]})
        photos = [_photo(row) for row in data["images"] if row["id"] in by_image]
    except (KeyError, TypeError, AttributeError) as error:
        raise SscError(f"{annotations} is no COCO instances file: it lacks {error}") from error
    find = CandidateModels(CandidateSettings(detect=detect, segment=segment), device=device, threads=threads)
    classes = tuple(dict.fromkeys(names.values()))  # several categories may be called alike
    measured: list[tuple[int, float]] = []
    for photo in tqdm(photos, desc="measure", unit="image", mininterval=10):
        own = by_image[photo["id"]]
        pixels = load_image(Path(images) / photo["file_name"], (photo["height"], photo["width"]))
        task = _task(photo, [row["class"] for row in own])
        (found,) = find([task], [pixels], classes, CompatSettings())
        assert found.masks is not None
        of = found.boxes.labels
        of_class = {row["class"]: found.masks[of == classes.index(row["class"])] for row in own if len(of)}
        try:
            measured += _best_ious(own, of_class, pixels.shape[:2])
        except SscError as error:
            raise SscError(f"{annotations}, an annotation of {photo['file_name']}: {error}") from error
    areas, ious = zip(*measured, strict=True) if measured else ((), ())
    return BestCandidates(np.array(areas, np.int64), np.array(ious, np.float64))


def _photo(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("id", "file_name", "height", "width")}


def _task(photo: Mapping[str, Any], classes: Sequence[str]) -> ImageTask:
    refs = tuple(RefQuery(i, name, (name,)) for i, name in enumerate(dict.fromkeys(classes)))
    return ImageTask(photo["id"], photo["file_name"], (photo["height"], photo["width"]), refs)


def _best_ious(
    objects: Sequence[Mapping[str, Any]], of_class: Mapping[int, np.ndarray], size: tuple[int, int]
) -> Iterator[tuple[int, float]]:
    """Area of each object, and the IoU of the best of its class's masks bool (K, H, W)."""
    for row in objects:
        code = segmentation_to_rle(row["segmentation"], *size, overlap_hole=False, notes=Counter())
        if code is None:
            continue
        truth = rle.decode([code], size)[0]
        masks = of_class.get(row["class"], truth[None][:0])
        both, either = (masks & truth).sum((1, 2)), (masks | truth).sum((1, 2))
        yield int(truth.sum()), float((both / either).max(initial=0))
