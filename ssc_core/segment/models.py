"""The models of Segment as a config names them: detector and segmenter, or a concept segmenter. In memory, no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ssc_core.backends import ConceptSegmenter, Detections, Detector, Segmenter, load_backend
from ssc_core.config.base import Backend
from ssc_core.config.labelling import CandidateSettings, CompatSettings
from ssc_core.segment.finding import BoxFinder, ConceptFinder, Found
from ssc_core.segment.tasks import ImageTask


class CandidateModels:
    """Photos and what they are asked for to instances with masks, by either kind of models.

    Raises SscError when a backend cannot be built or breaks its contract.
    """

    def __init__(self, settings: CandidateSettings, *, device: str = "auto", threads: int = 1) -> None:
        def build(backend: Backend, protocol: type) -> Any:
            return load_backend(backend.name, backend.settings, protocol, device=device, threads=threads)

        self._settings = settings.detect
        boxless = settings.detect.backend is None
        self._detector: Detector | None = (
            None if settings.detect.backend is None else build(settings.detect.backend, Detector)
        )
        self._segmenter: Any = build(settings.segment.backend, ConceptSegmenter if boxless else Segmenter)
        self._finder: Any = self._segmenter if boxless else self._detector

    @property
    def threshold(self) -> float | None:
        """The least score of what is found; None for a model that has none to set."""
        value: float | None = self._finder.threshold
        return value

    @contextmanager
    def at(self, threshold: float) -> Iterator[None]:
        """With another ``threshold``, of a model that has one."""
        before = self._finder.threshold
        self._finder.threshold = threshold
        try:
            yield
        finally:
            self._finder.threshold = before

    def __call__(
        self,
        tasks: Sequence[ImageTask],
        photos: Sequence[np.ndarray],
        names: Sequence[str],
        compat: CompatSettings,
        most: int | None = None,
    ) -> list[Found]:
        """What is in each task's photo, masks included; names: what labels index; most: instances a photo."""
        if self._detector is None:
            concepts = ConceptFinder(self._segmenter, self._settings, compat, names)(tasks, photos)
            return [one.first(most) for one in concepts]
        found = BoxFinder(self._detector, self._settings, compat, names)(tasks, photos)
        return [self._with_masks(one.first(most), photo) for one, photo in zip(found, photos, strict=True)]

    def best(self, photos: Sequence[np.ndarray], sentences: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        """Of each photo the best instance for a sentence as one phrase: its score and its mask, bool (H, W).

        Without one, NaN and an empty mask. Raises SscError when a model breaks its contract.
        """
        prompts = [[sentence] for sentence in sentences]
        if self._detector is None:
            concepts = self._segmenter.segment_concepts(photos, prompts)
            scores = [one.detections.scores * one.presence[one.detections.labels] for one in concepts]
            best = [np.argsort(-score, kind="stable")[:1] for score in scores]
            return [
                _first(score[rows], one.masks[rows], photo)
                for score, rows, one, photo in zip(scores, best, concepts, photos, strict=True)
            ]
        boxes = [
            _best(found).clipped(photo.shape[:2])
            for found, photo in zip(self._detector.detect(photos, prompts), photos, strict=True)
        ]
        masks = self._segmenter.segment(photos, [one.boxes_xyxy for one in boxes])
        return [_first(one.scores, found.masks, photo) for one, found, photo in zip(boxes, masks, photos, strict=True)]

    def _with_masks(self, found: Found, photo: np.ndarray) -> Found:
        if not len(found.boxes.labels):
            return replace(found, masks=np.zeros((0, *photo.shape[:2]), bool), mask_scores=np.zeros(0, np.float32))
        (made,) = self._segmenter.segment([photo], [found.boxes.boxes_xyxy])
        return replace(found, masks=made.masks, mask_scores=made.scores)


def _best(boxes: Detections) -> Detections:
    """The box with the highest score, whatever part of the sentence it was found for; none of none."""
    return boxes.taken(np.argsort(-boxes.scores, kind="stable")[:1])


def _first(scores: np.ndarray, masks: np.ndarray, photo: np.ndarray) -> tuple[float, np.ndarray]:
    if not len(masks):
        return float("nan"), np.zeros(photo.shape[:2], bool)
    return float(scores[0]), masks[0]
