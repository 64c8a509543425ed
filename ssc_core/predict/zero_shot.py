"""Segment and Select on single photos, in memory and without training. The same steps as the workflow's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssc_core.backends import Detector, ImageTextEncoder, Segmenter, load_backend
from ssc_core.segment.boxes import BoxFinder, prompts_of
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.masks import candidates_of
from ssc_core.segment.nouns import find_nouns, most_likely_class
from ssc_core.segment.projection import ClassProjection
from ssc_core.segment.tasks import ImageTask, RefQuery
from ssc_core.select.choice import eligible, mean_scores
from ssc_core.select.prompts import prompted_images
from ssc_core.select.scoring import IMAGES_AT_ONCE, score
from ssc_core.select.spatial import spatial_scores
from ssc_core.select.stage import ScoredRef, select_image
from ssc_core.settings import Settings


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
    """Instances of a photo. labels: (N,), index into names; owner: (N,), the question that found it."""

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    owner: np.ndarray
    names: tuple[str, ...]


class ZeroShot:
    """Photos and sentences to candidates, scores and a choice, with the backends of a config.

    An object is looked for by itself: other objects of the same photo change neither its boxes nor its choice, except
    with ``select.assignment: joint``. Nouns are projected to ``class_names`` when the config
    says so. Raises SscError when a backend cannot be built or breaks its contract.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        class_names: Sequence[str] = COCO_CLASSES,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.settings, self._threads = settings, threads

        def build(backend, protocol):
            return load_backend(backend.name, backend.settings, protocol, device=device, threads=threads)

        self._detector: Detector = build(settings.detect.backend, Detector)
        self._segmenter: Segmenter = build(settings.segment.backend, Segmenter)
        self._encoder: ImageTextEncoder = build(settings.score.backend, ImageTextEncoder)
        self._project: ClassProjection | None = None
        if settings.nouns.project:
            encoder = build(settings.nouns.encoder, ImageTextEncoder)
            nouns = settings.nouns
            self._project = ClassProjection(encoder, class_names, context=nouns.context, top_k=nouns.top_k)

    def __call__(self, photo: np.ndarray, objects: Sequence[Sequence[str]]) -> list[Answer]:
        """Answers for the objects of a photo, RGB uint8 (H, W, 3); an object is given by one or more sentences."""
        if not objects:
            return []
        questions, found, masks, candidates = self._find(photo, objects)
        features = self._features(photo, masks)
        scores = [
            score(features[rows], self._encoder.encode_texts(list(sentences)))
            for rows, sentences in zip(candidates, objects, strict=True)
        ]
        scored = [
            self._scored_ref(number, candidates[number], scores[number], masks, found.boxes_xyxy, objects[number])
            for number in range(len(objects))
        ]
        return [
            Answer(
                query=questions[ref.ref_id].query,
                masks=masks[ref.rows],
                box_scores=found.scores[ref.rows],
                scores=scores[ref.ref_id],
                chosen=_a_sentence(chosen, ref.rows, len(objects[ref.ref_id])),
            )
            for ref, chosen in select_image(scored, self.settings.select)
        ]

    def candidates(self, photo: np.ndarray, objects: Sequence[Sequence[str]]) -> list[tuple[str, np.ndarray]]:
        """Segment alone: for each object the class that was looked for, and its candidates, bool (K, H, W)."""
        if not objects:
            return []
        questions, _, masks, candidates = self._find(photo, objects)
        return [(question.query, masks[rows]) for question, rows in zip(questions, candidates, strict=True)]

    def _find(
        self, photo: np.ndarray, objects: Sequence[Sequence[str]]
    ) -> tuple[list[RefQuery], _Found, np.ndarray, list[np.ndarray]]:
        """Questions, instances, their masks bool (N, H, W), and the rows of each object's candidates."""
        questions = self._questions(objects)
        found = self._detect(photo, questions)
        candidates = [self._candidates(found, questions, number) for number in range(len(questions))]
        return questions, found, self._segment(photo, found.boxes_xyxy), candidates

    def _questions(self, objects: Sequence[Sequence[str]]) -> list[RefQuery]:
        """What the detector is asked for; ``ref_id`` is the object's index."""
        nouns = find_nouns([text for of in objects for text in of], self.settings.nouns, threads=self._threads)
        nearest = self._project(noun for names in nouns for noun in names) if self._project else {}
        classes = [tuple(name for noun in names for name in nearest.get(noun, (noun,))) for names in nouns]
        questions, start = [], 0
        for number, sentences in enumerate(objects):
            own = classes[start : start + len(sentences)]
            start += len(sentences)
            distinct = tuple(dict.fromkeys(name for names in own for name in names))
            questions.append(RefQuery(number, most_likely_class(own), distinct))
        return questions

    def _detect(self, photo: np.ndarray, questions: Sequence[RefQuery]) -> _Found:
        """Boxes of each distinct question, asked alone."""
        settings = self.settings.detect
        asked = [number for number in range(len(questions)) if _asked_first(questions, number) == number]
        tasks = [ImageTask(number, "", photo.shape[:2], (questions[number],)) for number in asked]
        names = tuple(sorted({name for task in tasks for prompt in prompts_of(task, settings) for name in prompt}))
        find = BoxFinder(self._detector, settings, self.settings.compat.detector_retry_plural, names)
        ready = _prepared(self._detector, photo)
        boxes = [find([task], [ready])[0] for task in tasks]
        return _Found(
            boxes_xyxy=np.concatenate([one.boxes_xyxy for one in boxes]),
            scores=np.concatenate([one.scores for one in boxes]),
            labels=np.concatenate([one.labels for one in boxes]),
            owner=np.repeat(asked, [len(one.scores) for one in boxes]),
            names=names,
        )

    def _segment(self, photo: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """bool (N, H, W)."""
        if len(boxes_xyxy) == 0:
            return np.zeros((0, *photo.shape[:2]), dtype=bool)
        return self._segmenter.segment([_prepared(self._segmenter, photo)], [boxes_xyxy])[0].masks

    def _features(self, photo: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Features of every instance under every prompt, (N, P, D)."""
        settings = self.settings.score
        if len(masks) == 0:
            return np.zeros((0, len(settings.prompts), 1), dtype=np.float32)
        prompted = list(prompted_images(photo, masks, settings.prompts, blur_sigma=settings.blur_sigma))
        if self.settings.compat.clip_bgr:
            prompted = [np.ascontiguousarray(one[..., ::-1]) for one in prompted]
        starts = range(0, len(prompted), IMAGES_AT_ONCE)
        batches = [self._encoder.encode_images(prompted[i : i + IMAGES_AT_ONCE]) for i in starts]
        return np.concatenate(batches).reshape(len(masks), len(settings.prompts), -1)

    def _candidates(self, found: _Found, questions: Sequence[RefQuery], number: int) -> np.ndarray:
        """Instances that a question may mean: those that were found for it, or for an earlier one that is the same."""
        any_noun = self.settings.compat.candidates_any_noun
        rows = candidates_of(questions[number], found.labels, found.names, any_noun=any_noun)
        return rows[found.owner[rows] == _asked_first(questions, number)]

    def _scored_ref(
        self,
        number: int,
        rows: np.ndarray,
        scores: np.ndarray,
        masks: np.ndarray,
        boxes_xyxy: np.ndarray,
        sentences: Sequence[str],
    ) -> ScoredRef:
        """The scores that the choice is made from: words of place added, the mean over sentences taken."""
        settings = self.settings.select
        areas = masks[rows].sum(axis=(1, 2), dtype=np.int64)
        decisive = scores.copy()
        if settings.spatial_weight > 0:
            among = eligible(areas, settings.min_area)
            terms = spatial_scores(sentences, boxes_xyxy[rows][among], areas[among], masks.shape[1:])
            decisive[:, among] += (settings.spatial_weight * terms).astype(np.float32)
        per_choice = decisive if settings.per == "sentence" else mean_scores(decisive)[None]
        return ScoredRef(number, rows, np.asarray(per_choice), areas)


def _a_sentence(chosen: np.ndarray, rows: np.ndarray, sentences: int) -> np.ndarray:
    """Chosen instance rows, one for all sentences or one each, as indices into ``rows`` (S,), -1 for none."""
    place = {row: index for index, row in enumerate(rows.tolist())}
    picks = np.array([place.get(row, -1) for row in chosen.tolist()], dtype=np.int64)
    return picks if len(picks) == sentences else np.repeat(picks, sentences)


def _asked_first(questions: Sequence[RefQuery], number: int) -> int:
    """The first question that asks for the same; objects of one class share its boxes."""
    wanted = questions[number]
    return next(i for i, q in enumerate(questions) if (q.query, q.classes) == (wanted.query, wanted.classes))


def _prepared(backend: object, photo: np.ndarray) -> Any:
    prepare = getattr(backend, "prepare", None)
    return prepare(photo) if prepare else photo
