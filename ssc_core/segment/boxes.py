"""detect_boxes: the classes of each image to boxes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ssc_core.backends import Detections, Detector, load_backend
from ssc_core.config.labelling import CompatSettings, DetectSettings
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.prefetch import batches_ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.ref_table import photos_upright
from ssc_core.registry import backend_version, model_digests
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader
from ssc_core.segment.nms import class_nms
from ssc_core.segment.tasks import ImageTask, image_tasks, plan_batches, shard_of

log = logging.getLogger(__name__)

Prompt = tuple[str, ...]

SWITCHES = ("detector_retry_plural", "query_order", "unclipped_boxes")
"""The compat switches of this step."""


def detect_boxes(
    *,
    refs: Path,
    nouns: Path,
    images: Path,
    split: str,
    out: Path,
    settings: DetectSettings,
    compat: CompatSettings,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
    shard: int = 0,
    shards: int = 1,
) -> None:
    """Write ``boxes.h5`` for shard ``shard`` of ``shards`` of a split, counted from 0.

    batch_size: ``compute.batch.detect``, 0 or None: the detector's own; images: folder of the photos. Images are in
    ascending order of id, boxes of an image in descending order of score and cut at its borders (``compat`` changes
    both); labels index the store's class names, which are all that the split is asked for. A photo that is skipped
    (``on_bad_image``) is in the file, without boxes.

    Raises SscError for a bad photo that is not skipped, and for a detector that breaks its contract.
    """
    tasks = image_tasks(refs, nouns, split)
    class_names = tuple(sorted({name for task in tasks for prompt in prompts_of(task, settings) for name in prompt}))
    batches = shard_of(plan_batches(tasks), (shard, shards))
    backend = settings.backend
    detector = load_backend(
        backend.name, backend.settings, Detector, device=device, threads=threads, batch_size=batch_size or None
    )
    load = PhotoLoader(images, settings.on_bad_image, detector, photos_upright(refs))
    finder = BoxFinder(detector, settings, compat, class_names)
    with (
        MaskStoreWriter(out, _store_info(settings, compat, class_names), with_masks=False) as writer,
        worker_threads(threads) as pool,
        tqdm(total=sum(len(batch.tasks) for batch in batches), desc="detect", unit="image", mininterval=10) as progress,
    ):
        ready = batches_ahead(load, [batch.tasks for batch in batches], pool, BATCHES_AHEAD)
        for _, window in groupby(zip(batches, ready, strict=True), key=lambda item: item[0].window):
            found: list[tuple[ImageTask, Detections]] = []
            for batch, photos in window:
                found += zip(batch.tasks, finder(batch.tasks, photos), strict=True)
                progress.update(len(batch.tasks))
            for task, boxes in sorted(found, key=lambda item: item[0].image_id):
                writer.append_image(
                    task.image_id,
                    task.size,
                    boxes_xyxy=boxes.boxes_xyxy,
                    box_scores=boxes.scores,
                    labels=boxes.labels,
                )
    if load.skipped:
        log.warning("%d photos could not be read and were skipped", len(load.skipped))


def prompts_of(task: ImageTask, settings: DetectSettings) -> list[Prompt]:
    """The prompts that an image is shown to the detector with, one after the other."""
    likely = settings.queries in ("most_likely_noun", "one_query_per_most_likely_noun")
    classes = task.queries if likely else task.classes
    return [(name,) for name in classes] if settings.queries.startswith("one_query") else [classes]


class BoxFinder:
    """The detector with what happens before and after it, for a batch of images."""

    def __init__(
        self, detector: Detector, settings: DetectSettings, compat: CompatSettings, names: Sequence[str]
    ) -> None:
        self._detector, self._settings, self._compat = detector, settings, compat
        self._label_of = {name: label for label, name in enumerate(names)}

    def __call__(self, tasks: Sequence[ImageTask], photos: Sequence[Any]) -> list[Detections]:
        """Boxes of each task, final: labels index the store's class names. A photo that is None has none."""
        rows, pictures, prompts = [], [], []
        for row, (task, photo) in enumerate(zip(tasks, photos, strict=True)):
            for prompt in prompts_of(task, self._settings) if photo is not None else ():
                rows.append(row)
                pictures.append(photo)
                prompts.append(prompt)
        found = self._detect(pictures, prompts)
        if self._compat.detector_retry_plural:
            again = [i for i, boxes in enumerate(found) if np.any(boxes.labels < 0)]
            plural = [tuple(f"all {name}s" for name in prompts[i]) for i in again]
            for i, boxes in zip(again, self._detect([pictures[i] for i in again], plural), strict=True):
                found[i] = boxes
        per_task: list[list[Detections]] = [[] for _ in tasks]
        for row, prompt, boxes in zip(rows, prompts, found, strict=True):
            per_task[row].append(_with_store_labels(boxes, prompt, self._label_of))
        return [self._finish(parts, task.size) for parts, task in zip(per_task, tasks, strict=True)]

    def _detect(self, pictures: Sequence[Any], prompts: Sequence[Prompt]) -> list[Detections]:
        if not pictures:
            return []
        return self._detector.detect(pictures, prompts)

    def _finish(self, parts: Sequence[Detections], size: tuple[int, int]) -> Detections:
        """One image's boxes of all its prompts, in descending order of score, ties as found; size: (height, width)."""
        found = Detections.joined(parts)
        if not self._compat.unclipped_boxes:
            found = found.clipped(size)
        if self._settings.nms_iou is None:
            order = np.argsort(-found.scores, kind="stable")
        else:
            order = class_nms(found.boxes_xyxy, found.scores, found.labels, self._settings.nms_iou)
        return found.taken(np.sort(order) if self._compat.query_order else order)


def _with_store_labels(boxes: Detections, prompt: Prompt, label_of: Mapping[str, int]) -> Detections:
    """Labels of the store in place of labels of the prompt; boxes without a class (label -1) are dropped."""
    kept = boxes.taken(boxes.labels >= 0)
    return replace(kept, labels=np.array([label_of[prompt[i]] for i in kept.labels], dtype=np.int64))


def _store_info(settings: DetectSettings, compat: CompatSettings, class_names: tuple[str, ...]) -> StoreInfo:
    return StoreInfo(
        class_names=class_names,
        settings={
            "detect": settings.model_dump(mode="json"),
            "compat": compat.model_dump(include=set(SWITCHES)),
        },
        code=f"{code_version('ssc_core.segment.boxes')} {backend_version(settings.backend.name)}",
        models=model_digests(settings.backend.settings, "detect"),
    )
