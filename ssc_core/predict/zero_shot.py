"""Segment and Select on single photos, in memory and without training. The same steps as the workflow's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssc_core.backends import Detector, ImageTextEncoder, Segmenter, load_backend
from ssc_core.checkers import CheckedDetector, CheckedSegmenter
from ssc_core.config.base import Backend
from ssc_core.config.settings import Settings
from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, distinct_masks
from ssc_core.segment.boxes import BoxFinder, prompts_of
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.masks import candidates_of
from ssc_core.segment.nouns import NounFinder, most_likely_class
from ssc_core.segment.projection import ClassProjection
from ssc_core.segment.tasks import ImageTask, RefQuery
from ssc_core.select.scoring import Prompter, TextFeatures, score
from ssc_core.select.stage import scored_ref, select_image


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for the S sentences of one object.

    query: the class that was looked for; masks: bool (K, H, W), the candidates, in photo pixels; box_scores: float32
    (K,), from the detector; scores: float32 (S, K), cosine times 100; chosen: int64 (S,), candidate, -1 for none.
    """

    query: str
    masks: np.ndarray
    box_scores: np.ndarray
    scores: np.ndarray
    chosen: np.ndarray

    def mask(self, sentence: int) -> np.ndarray:
        """The chosen mask, bool (H, W); all False for none."""
        index = self.chosen[sentence]
        return self.masks[index] if index >= 0 else np.zeros(self.masks.shape[1:], dtype=bool)


@dataclass(frozen=True, slots=True)
class _Found:
    """What Segment finds for a photo's objects. candidates: of each object, rows being rows of ``box_scores``."""

    queries: list[str]
    candidates: list[Candidates]
    box_scores: np.ndarray


class ZeroShot:
    """Photos and sentences to candidates, scores and a choice, with the backends and settings of a config.

    The steps are those of the workflow's rules, so the objects of a photo are looked for together, as the refs of an
    image are, and the same refs get the same masks. Models are loaded once. Nouns are projected to ``class_names`` when
    the config says so. Raises SscError when a backend cannot be built or breaks its contract.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        class_names: Sequence[str] = COCO_CLASSES,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.settings = settings

        def build(backend: Backend, protocol: type) -> Any:
            return load_backend(backend.name, backend.settings, protocol, device=device, threads=threads)

        nouns = settings.nouns
        self._detector: CheckedDetector = build(settings.detect.backend, Detector)
        self._segmenter: CheckedSegmenter = build(settings.segment.backend, Segmenter)
        self._encoder: ImageTextEncoder = build(settings.score.backend, ImageTextEncoder)
        self._prompter = Prompter(self._encoder, settings.score, settings.compat)
        self._find_nouns = NounFinder(nouns, threads)
        self._project: ClassProjection | None = None
        if nouns.project:
            shared = nouns.encoder == settings.score.backend
            encoder = self._encoder if shared else build(nouns.encoder, ImageTextEncoder)
            self._project = ClassProjection(encoder, class_names, context=nouns.context, top_k=nouns.top_k)

    def __call__(
        self, photo: np.ndarray, objects: Sequence[Sequence[str]], ref_ids: Sequence[int] | None = None
    ) -> list[Answer]:
        """Answers for the objects of a photo, RGB uint8 (H, W, 3); an object is given by one or more sentences.

        ref_ids: of the objects, their numbers from 0 if None; nothing but ``select.choice: random`` depends on them.
        """
        if not objects:
            return []
        found, settings = self._find(photo, objects), self.settings
        masks, places = distinct_masks(found.candidates)
        areas = masks.sum(axis=(1, 2), dtype=np.int64)
        features = self._prompter.features(photo, masks)
        texts = TextFeatures(self._encoder, (text for sentences in objects for text in sentences))
        scores = [score(features[own], texts[of]) for own, of in zip(places, objects, strict=True)]
        refs = [
            scored_ref(ref_id, candidates, areas[own], of_ref, sentences, settings.select)
            for ref_id, candidates, own, of_ref, sentences in zip(
                ref_ids or range(len(objects)), found.candidates, places, scores, objects, strict=True
            )
        ]
        picks = [pick for _, pick in select_image(refs, settings.select, settings.compat)]
        return [
            Answer(
                query=query,
                masks=masks[own],
                box_scores=found.box_scores[candidates.rows],
                scores=of_ref,
                chosen=np.array(pick if settings.select.per == "sentence" else pick * len(sentences), dtype=np.int64),
            )
            for query, own, candidates, of_ref, pick, sentences in zip(
                found.queries, places, found.candidates, scores, picks, objects, strict=True
            )
        ]

    def candidates(self, photo: np.ndarray, objects: Sequence[Sequence[str]]) -> list[tuple[str, np.ndarray]]:
        """Segment alone: for each object the class that was looked for, and its candidates, bool (K, H, W)."""
        if not objects:
            return []
        found = self._find(photo, objects)
        return [(query, own.masks()) for query, own in zip(found.queries, found.candidates, strict=True)]

    def _find(self, photo: np.ndarray, objects: Sequence[Sequence[str]]) -> _Found:
        compat, size = self.settings.compat, photo.shape[:2]
        task = ImageTask(0, "", size, tuple(self._questions(objects)))
        names = tuple(dict.fromkeys(name for prompt in prompts_of(task, self.settings.detect) for name in prompt))
        finder = BoxFinder(self._detector, self.settings.detect, compat, names)
        (boxes,) = finder([task], [self._detector.prepare(photo)])
        codes = self._segment(photo, boxes.boxes_xyxy)
        candidates = []
        for ref in task.refs:
            rows = candidates_of(ref, boxes.labels, names, any_noun=compat.candidates_any_noun)
            own = Candidates(size, rows, boxes.boxes_xyxy[rows], [codes[row] for row in rows])
            candidates.append(own.merged() if compat.merged_masks else own)
        return _Found([ref.query for ref in task.refs], candidates, boxes.scores)

    def _questions(self, objects: Sequence[Sequence[str]]) -> Iterator[RefQuery]:
        """What the detector is asked for; ``ref_id`` is the object's index."""
        nouns = self._find_nouns([text for of in objects for text in of])
        nearest = self._project(noun for names in nouns for noun in names) if self._project else {}
        classes = iter([tuple(name for noun in names for name in nearest.get(noun, (noun,))) for names in nouns])
        for number, sentences in enumerate(objects):
            own = [next(classes) for _ in sentences]
            yield RefQuery(number, most_likely_class(own), tuple(dict.fromkeys(name for of in own for name in of)))

    def _segment(self, photo: np.ndarray, boxes_xyxy: np.ndarray) -> list[bytes]:
        """COCO compressed RLEs of the boxes' masks."""
        if len(boxes_xyxy) == 0:
            return []
        return rle.encode(self._segmenter.segment([photo], [boxes_xyxy])[0].masks)
