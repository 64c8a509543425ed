"""Segment and Select on single photos, in memory and without training. The same steps as the workflow's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.config.labelling import CandidateSettings
from ssc_core.config.settings import Settings
from ssc_core.config.toys import label_stages
from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, Masks, distinct_masks
from ssc_core.named_code import check_code
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.segment.finding import names_of
from ssc_core.segment.masks import candidates_in
from ssc_core.segment.models import CandidateModels
from ssc_core.segment.nouns import NounFinder, asked_phrases, most_likely_class
from ssc_core.segment.projection import ClassProjection
from ssc_core.segment.tasks import ImageTask, RefQuery
from ssc_core.select.ensemble import combined
from ssc_core.select.scorers import EncoderScorer, Ready, load_scorer
from ssc_core.select.stage import scored_ref, select_image


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for the S sentences of one object.

    query: the class that was looked for; masks: bool (K, H, W), the candidates, in photo pixels; box_scores:
    float32 (K,), from the detector; scores: float32 (S, K), as Select combines them; chosen: int64 (S,), candidate, -1
    for none.
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
class Proposals:
    """What Segment finds for a photo's objects.

    queries: the class that was looked for, of each object; candidates: of each object, rows being rows of
    ``box_scores``, float32 (N,).
    """

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
        check_code(settings, label_stages(settings))  # before the first model is loaded
        nouns = settings.nouns
        candidates = CandidateSettings(detect=settings.detect, segment=settings.segment)
        self._models = CandidateModels(candidates, device=device, threads=threads)
        self._scorers = {
            name: load_scorer(settings.scorer(name), settings.compat, device=device, threads=threads)
            for name in settings.select.scorers
        }
        self._find_nouns = NounFinder(nouns, threads)
        self._project: ClassProjection | None = None
        if nouns.project:
            encoder = self._shared_encoder() or load_backend(
                nouns.encoder.name, nouns.encoder.settings, ImageTextEncoder, device=device, threads=threads
            )
            self._project = ClassProjection(
                encoder,
                class_names,
                context=nouns.context,
                top_k=nouns.top_k,
                min_similarity=nouns.min_similarity,
            )

    def _shared_encoder(self) -> ImageTextEncoder | None:
        """The encoder of a scorer that is that of the nouns too, so that it is loaded once."""
        wanted = self.settings.nouns.encoder
        same = (
            scorer.encoder
            for name, scorer in self._scorers.items()
            if isinstance(scorer, EncoderScorer) and self.settings.scorer(name).backend == wanted
        )
        return next(same, None)

    def __call__(
        self, photo: np.ndarray, objects: Sequence[Sequence[str]], ref_ids: Sequence[int] | None = None
    ) -> list[Answer]:
        """Answers for the objects of a photo, RGB uint8 (H, W, 3); an object is given by one or more sentences.

        ref_ids: of the objects, their numbers from 0 if None; nothing but ``select.choice: random`` depends on them.
        """
        return self.choose(photo, self.find(photo, self.questions(objects)), objects, ref_ids) if objects else []

    def choose(
        self,
        photo: np.ndarray,
        found: Proposals,
        objects: Sequence[Sequence[str]],
        ref_ids: Sequence[int] | None = None,
    ) -> list[Answer]:
        """Select alone: answers for the objects that ``found`` is of, as a call gives them; at least one."""
        settings = self.settings
        masks, places = distinct_masks(found.candidates)
        areas = masks.areas()
        scores = self._scores(photo, masks, places, objects)
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

    def _scores(
        self, photo: np.ndarray, masks: Masks, places: Sequence[np.ndarray], objects: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """float32 (S, K) of each object, by all scorers that have a weight."""
        texts = [text for sentences in objects for text in sentences]
        by_scorer = []
        for scorer in self._scorers.values():
            ready = Ready(scorer.prepare(photo, masks) if len(masks) else None, places, objects)
            by_scorer.append(next(iter(scorer.scores([ready], texts))))
        weights = list(self.settings.select.scorers.values())
        return [combined(of_object, weights) for of_object in zip(*by_scorer, strict=True)]

    def candidates(self, photo: np.ndarray, objects: Sequence[Sequence[str]]) -> list[tuple[str, np.ndarray]]:
        """Segment alone: for each object the class that was looked for, and its candidates, bool (K, H, W)."""
        if not objects:
            return []
        found = self.find(photo, self.questions(objects))
        return [(query, own.masks()) for query, own in zip(found.queries, found.candidates, strict=True)]

    @property
    def threshold(self) -> float | None:
        """The least score of what is found; None where the model has none that can be set."""
        return self._models.threshold

    def find(
        self,
        photo: np.ndarray,
        questions: Sequence[RefQuery],
        *,
        threshold: float | None = None,
        most: int | None = None,
    ) -> Proposals:
        """Segment alone, for at least one question. threshold: None for the model's own; most: instances, the first."""
        compat, size = self.settings.compat, photo.shape[:2]
        task = ImageTask(0, "", size, tuple(questions))
        names = names_of([task], self.settings.detect)
        with nullcontext() if threshold is None else self._models.at(threshold):
            (found,) = self._models([task], [photo], names, compat, most)
        assert found.masks is not None
        codes = rle.encode(found.masks) if len(found.masks) else []
        candidates = []
        for ref in task.refs:
            rows = candidates_in(found, ref, names, compat)
            own = Candidates(size, rows, found.boxes.boxes_xyxy[rows], [codes[row] for row in rows])
            candidates.append(own.merged() if compat.merged_masks else own)
        return Proposals([ref.query for ref in task.refs], candidates, found.boxes.scores)

    def questions(self, objects: Sequence[Sequence[str]]) -> list[RefQuery]:
        """What the detector is asked for, of objects given by their sentences; ``ref_id`` is the object's index."""
        return list(self._questions(objects))

    def _questions(self, objects: Sequence[Sequence[str]]) -> Iterator[RefQuery]:
        texts = [text for of in objects for text in of]
        nouns = self._find_nouns(texts)
        nearest = self._project(noun for names in nouns for noun in names) if self._project else {}
        classes = iter([tuple(name for noun in names for name in nearest.get(noun, (noun,))) for names in nouns])
        asked = self.settings.nouns
        phrases = iter(self._find_nouns.phrases(texts, nouns) if asked.ask != "classes" else nouns)
        for number, sentences in enumerate(objects):
            own = [next(classes) for _ in sentences]
            query, of_own = most_likely_class(own), [next(phrases) for _ in sentences]
            names = tuple(dict.fromkeys(name for of in own for name in of))
            yield RefQuery(number, query, names, asked_phrases(asked, query, of_own))
