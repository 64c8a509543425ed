"""Measure every sentence's mask against its object: masks of a predictor that runs over a split, or stored ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.evaluate import bins
from ssc_core.masks import rle
from ssc_core.masks.resize import masks_at, resize_nearest
from ssc_core.masks.selection import SelectionStore
from ssc_core.prefetch import batches_ahead, worker_threads

SIDE = 480
"""Side of the square at which published figures are measured."""

IMAGES_A_CALL = 8
"""Photos handed to the predictor together; as many are read ahead while it works."""

Predict = Callable[[Sequence[np.ndarray], Sequence[Sequence[str]]], Sequence[np.ndarray]]
"""Photos (RGB uint8) and each one's sentences to margins per photo, float32 (S, h, w) at any resolution: positive where
the object is, as of ``masks.resize.masks_at``."""

MaskAt = Callable[[tuple[int, ...]], np.ndarray]
"""A size (height, width) to a mask of it, bool (H, W)."""

MaskOf = Callable[[int], np.ndarray]
"""A sentence's ``sent_id`` to its mask, bool (H, W) at any resolution."""

LoadImage = Callable[[str], np.ndarray]
"""A photo's file name to RGB uint8 (H, W, 3), such as ``refer.ref_table.open_photos``."""

LoadOrSkip = Callable[[str], np.ndarray | None]
"""The same, None for a photo that cannot be read and is skipped."""


class Truth(Protocol):
    """Ground truth by ref, such as ``refer.truth.TruthStore``."""

    def mask(self, ref_id: int) -> np.ndarray | None:
        """bool (H, W) in photo pixels, None for a ref without ground truth."""
        ...

    def code(self, ref_id: int) -> tuple[bytes, rle.Size] | None:
        """The same as COCO compressed RLE, not yet checked, and its size (height, width)."""
        ...


@dataclass(slots=True)
class Passed:
    """What went by so far. without_truth: refs left out; skipped: photos that could not be read; model_s: seconds in
    the predictor."""

    without_truth: int = 0
    skipped: int = 0
    model_s: float = 0.0


def measure_pairs(
    *, refs: pd.DataFrame, images: LoadOrSkip, truth: Truth, predict: Predict, passed: Passed
) -> Iterator[pd.DataFrame]:
    """Measure every sentence of ``refs`` (a RefTable with ``same_class``, see ``bins.same_class_refs``), some photos at
    a time.

    Row per sentence: ``image_id file_name ref_id category sent_id sentence``, ``intersection_R union_R iou_R`` for R in
    480 and native (IoU in 0..1), the groups ``sentence_length num_candidates object_size``, and the predicted mask in
    photo pixels: its ``area`` and its COCO RLE ``rle rle_height rle_width``. A photo that is skipped is not predicted
    for: its sentences have empty masks.
    """
    by_image = [table for _, table in refs.groupby("image_id", sort=False)]
    batches = [by_image[start : start + IMAGES_A_CALL] for start in range(0, len(by_image), IMAGES_A_CALL)]
    with (
        worker_threads(1) as pool,
        tqdm(total=len(by_image), desc="evaluate", unit="image", mininterval=5) as progress,
    ):
        for batch in batches_ahead(lambda table: _read(table, images, truth), batches, pool, 1):
            rows: list[dict[str, Any]] = []
            passed.without_truth += sum(photo.without_truth for photo in batch)
            for photo in batch:
                if photo.rows and photo.image is None:
                    passed.skipped += 1
                    rows.extend(_measure(photo, [_empty] * len(photo.rows)))
            photos = [photo for photo in batch if photo.rows and photo.image is not None]
            pictures = [photo.image for photo in photos if photo.image is not None]
            started = time.perf_counter()
            predictions = predict(pictures, [[r.sentence for r in p.rows] for p in photos])
            passed.model_s += time.perf_counter() - started
            for photo, margins in zip(photos, predictions, strict=True):
                _check(margins, len(photo.rows))
                rows.extend(_measure(photo, [partial(masks_at, one) for one in margins]))
            progress.update(len(batch))
            if rows:
                yield _with_groups(pd.DataFrame(rows))


def measure_stored(*, refs: pd.DataFrame, truth: Truth, mask_of: MaskOf, passed: Passed) -> Iterator[pd.DataFrame]:
    """As ``measure_pairs``, with masks that were made before; no photo is read."""
    by_image = iter(tqdm(refs.groupby("image_id", sort=False), desc="evaluate", unit="image", mininterval=5))
    while batch := list(islice(by_image, IMAGES_A_CALL)):
        rows: list[dict[str, Any]] = []
        for _, table in batch:
            photo = _read(table, lambda _: np.zeros((0, 0, 3), np.uint8), truth)
            passed.without_truth += photo.without_truth
            for row in photo.rows:
                rows.extend(_measure(replace(photo, rows=[row]), [partial(resize_nearest, mask_of(row.sent_id))]))
        if rows:
            yield _with_groups(pd.DataFrame(rows))


def selected_masks(refs: pd.DataFrame, selection: SelectionStore) -> MaskOf:
    """What a selection holds for the sentences of a RefTable, in photo pixels; an empty mask where it chose none."""
    numbers = refs.groupby("ref_id", sort=False).cumcount()
    columns = refs["sent_id"].tolist(), refs["ref_id"].tolist(), numbers.tolist()
    places = {sent_id: (ref_id, number) for sent_id, ref_id, number in zip(*columns, strict=True)}
    return lambda sent_id: selection.mask(*places[sent_id])


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo (RGB uint8, None when it is skipped), its rows of the ref table that have ground truth, and that truth:
    bool (H, W) by ref."""

    image: np.ndarray | None
    rows: list[Any]
    truths: dict[int, np.ndarray]
    without_truth: int


def _read(table: pd.DataFrame, images: LoadOrSkip, truth: Truth) -> _Photo:
    masks = {ref_id: truth.mask(ref_id) for ref_id in table["ref_id"].unique().tolist()}
    truths = {ref_id: mask for ref_id, mask in masks.items() if mask is not None}
    rows: list[Any] = [row for row in table.itertuples() if row.ref_id in truths]
    # a photo without ground truth is not read: nothing will be predicted for it
    image = images(rows[0].file_name) if rows else np.zeros((0, 0, 3), np.uint8)
    return _Photo(image, rows, truths, len(masks) - len(truths))


def _empty(size: tuple[int, ...]) -> np.ndarray:
    return np.zeros(size, dtype=bool)


def _check(margins: np.ndarray, sentences: int) -> None:
    if margins.dtype != np.float32 or margins.ndim != 3 or len(margins) != sentences:
        raise ValueError(
            f"predict gave {margins.dtype} {margins.shape} for {sentences} sentences; need float32 (S, h, w)"
        )


def _measure(photo: _Photo, masks: Sequence[MaskAt]) -> Iterator[dict[str, Any]]:
    """masks: of each row."""
    truths_480 = {ref_id: resize_nearest(mask, (SIDE, SIDE)) for ref_id, mask in photo.truths.items()}
    for row, mask_at in zip(photo.rows, masks, strict=True):
        truth = photo.truths[row.ref_id]
        prediction = mask_at(truth.shape)
        yield {
            "image_id": row.image_id,
            "file_name": row.file_name,
            "ref_id": row.ref_id,
            "category": row.category,
            "sent_id": row.sent_id,
            "sentence": row.sentence,
            **_overlap("480", mask_at((SIDE, SIDE)), truths_480[row.ref_id]),
            **_overlap("native", prediction, truth),
            "same_class": row.same_class,
            "share": np.count_nonzero(truth) / truth.size,
            "area": np.count_nonzero(prediction),
            "rle": rle.encode(prediction[None])[0].decode("ascii"),
            "rle_height": prediction.shape[0],
            "rle_width": prediction.shape[1],
        }


def _overlap(resolution: str, prediction: np.ndarray, truth: np.ndarray) -> dict[str, int | float]:
    intersection = int(np.count_nonzero(prediction & truth))
    union = int(np.count_nonzero(prediction | truth))
    return {
        f"intersection_{resolution}": intersection,
        f"union_{resolution}": union,
        f"iou_{resolution}": intersection / max(union, 1),
    }


def _with_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the labels that results are broken down by."""
    rows["sentence_length"] = bins.sentence_lengths(rows["sentence"])
    rows["num_candidates"] = bins.object_counts(rows.pop("same_class").to_numpy())
    rows["object_size"] = bins.object_sizes(rows.pop("share").to_numpy())
    return rows
