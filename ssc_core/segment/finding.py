"""Instances in photos: a detector or a concept segmenter, with what happens before and after it. No files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ssc_core.backends import ConceptSegmenter, Detections, Detector
from ssc_core.config.labelling import CompatSettings, DetectSettings
from ssc_core.segment.nms import class_nms, merge_labels
from ssc_core.segment.tasks import ImageTask, RefQuery

Prompt = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in one image, final: N instances in descending order of score, labels of the store.

    answers: bool (N, C), which names an instance was found by; it has several where phrases are asked for. masks: bool
    (N, H, W), mask_scores: float32 (N,), before the product with presence; None from a detector.
    """

    boxes: Detections
    answers: np.ndarray
    masks: np.ndarray | None = None
    mask_scores: np.ndarray | None = None

    def first(self, most: int | None) -> Found:
        """At most so many of the instances, the first ones; None: all."""
        if most is None or len(self.boxes.scores) <= most:
            return self
        masks, sure = (None if value is None else value[:most] for value in (self.masks, self.mask_scores))
        return Found(self.boxes.taken(np.arange(most)), self.answers[:most], masks, sure)

    def candidates_of(self, ref: RefQuery, names: Sequence[str]) -> np.ndarray:
        """Which of the instances are candidates of a ref that asks by phrases: indices int64, ascending."""
        asked = [names.index(name) for name in ref.asks]
        return np.flatnonzero(self.answers[:, asked].any(axis=1)).astype(np.int64)


def names_of(tasks: Sequence[ImageTask], settings: DetectSettings) -> tuple[str, ...]:
    """All that images are asked for, in alphabetical order: the labels' names. Of a split, see ``SplitPlan.names``."""
    return tuple(sorted({name for task in tasks for name in asked_of(task, settings)}))


def asked_of(task: ImageTask, settings: DetectSettings) -> Prompt:
    """What an image is asked for."""
    return task.queries if asks_likely(settings) else task.classes


def asks_likely(settings: DetectSettings) -> bool:
    """Whether images are asked for the most likely class of each ref, and not for all that it names."""
    return settings.queries in ("most_likely_noun", "one_query_per_most_likely_noun")


def prompts_of(task: ImageTask, settings: DetectSettings) -> list[Prompt]:
    """The prompts that an image is shown to the detector with, one after the other."""
    names = asked_of(task, settings)
    return [(name,) for name in names] if settings.queries.startswith("one_query") else [names]


class BoxFinder:
    """The detector with what happens before and after it, for a batch of images."""

    def __init__(
        self, detector: Detector, settings: DetectSettings, compat: CompatSettings, names: Sequence[str]
    ) -> None:
        self._detector, self._settings, self._compat = detector, settings, compat
        self._label_of = {name: label for label, name in enumerate(names)}

    def __call__(self, tasks: Sequence[ImageTask], photos: Sequence[Any]) -> list[Found]:
        """What is in each task's photo. A photo that is None has nothing."""
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
        return [
            _finish(Detections.joined(parts), task, self._settings, self._compat, len(self._label_of))[0]
            for parts, task in zip(per_task, tasks, strict=True)
        ]

    def _detect(self, pictures: Sequence[Any], prompts: Sequence[Prompt]) -> list[Detections]:
        if not pictures:
            return []
        return self._detector.detect(pictures, prompts)


class ConceptFinder:
    """The concept segmenter with what happens before and after it, for a batch of images.

    An image is asked for all its names at once, whatever ``detect.queries`` says of one query each.
    """

    def __init__(
        self, segmenter: ConceptSegmenter, settings: DetectSettings, compat: CompatSettings, names: Sequence[str]
    ) -> None:
        self._segmenter, self._settings, self._compat = segmenter, settings, compat
        self._label_of = {name: label for label, name in enumerate(names)}

    def __call__(self, tasks: Sequence[ImageTask], photos: Sequence[Any]) -> list[Found]:
        """What is in each task's photo. A photo that is None has nothing."""
        busy = [i for i, photo in enumerate(photos) if photo is not None]
        prompts = [asked_of(tasks[i], self._settings) for i in busy]
        instances = self._segmenter.segment_concepts([photos[i] for i in busy], prompts) if busy else []
        found = {}
        for i, prompt, one in zip(busy, prompts, instances, strict=True):
            sure = one.detections.scores
            # as SAM 3 has it: that it is there at all, times that it is this
            scored = replace(one.detections, scores=sure * one.presence[one.detections.labels])
            labelled = _with_store_labels(scored, prompt, self._label_of)
            boxes, order = _finish(labelled, tasks[i], self._settings, self._compat, len(self._label_of))
            found[i] = replace(boxes, masks=one.masks[order], mask_scores=sure[order])
        return [found.get(i) or self._nothing(task) for i, task in enumerate(tasks)]

    def _nothing(self, task: ImageTask) -> Found:
        none = np.zeros((0, len(self._label_of)), bool)
        return Found(Detections.joined([]), none, np.zeros((0, *task.size), bool), np.zeros(0, np.float32))


def _finish(
    found: Detections, task: ImageTask, settings: DetectSettings, compat: CompatSettings, names: int
) -> tuple[Found, np.ndarray]:
    """One image's boxes of all its prompts in descending order of score, ties as found, and which of them these are."""
    if not compat.unclipped_boxes:
        found = found.clipped(task.size)
    if settings.nms_iou is None:
        order = np.argsort(-found.scores, kind="stable")
    else:
        order = class_nms(found.boxes_xyxy, found.scores, found.labels, settings.nms_iou)
    answers = np.zeros((len(order), names), bool)
    answers[np.arange(len(order)), found.labels[order]] = True
    if any(ref.phrases for ref in task.refs):
        answers, kept = merge_labels(found.boxes_xyxy[order], answers)
        order = order[kept]
    if compat.query_order:
        by_query = np.argsort(order, kind="stable")
        order, answers = order[by_query], answers[by_query]
    return Found(found.taken(order), answers), order


def _with_store_labels(boxes: Detections, prompt: Prompt, label_of: Mapping[str, int]) -> Detections:
    """Labels of the store in place of labels of the prompt; boxes without a class (label -1) are dropped."""
    kept = boxes.taken(boxes.labels >= 0)
    return replace(kept, labels=np.array([label_of[prompt[i]] for i in kept.labels], dtype=np.int64))
