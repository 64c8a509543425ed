"""What the models of Segment and Select are, and what they must return.

Candidates come from a ``Detector`` and a ``Segmenter``, or from a ``ConceptSegmenter`` that is both; scores from an
``ImageTextEncoder`` that looks at marked photos, or from a ``PairScorer`` that looks at photo, candidates and
sentences. All images are RGB ``uint8 (H, W, 3)`` arrays; boxes are ``x0, y0, x1, y1`` in absolute pixels. What a
plug-in returns is checked by ``ssc_core.checkers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found in one image.

    boxes_xyxy: float32 (N, 4); scores: float32 (N,), from 0 to 1; labels: int64 (N,), index into that image's prompt,
    -1 for a box of no class.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """What was found in one image in several ways, one after the other."""
        return cls(
            np.concatenate([np.zeros((0, 4), np.float32), *(part.boxes_xyxy for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)]),
        )

    def taken(self, which: np.ndarray) -> Detections:
        """Some of them: indices int (M,), in that order, or bool (N,)."""
        return Detections(self.boxes_xyxy[which], self.scores[which], self.labels[which])

    def clipped(self, size: tuple[int, int]) -> Detections:
        """The boxes cut at the borders of an image of ``size`` (height, width)."""
        height, width = size
        return replace(self, boxes_xyxy=np.clip(self.boxes_xyxy, 0, np.array([width, height] * 2, np.float32)))


@dataclass(frozen=True, slots=True)
class InstanceMasks:
    """One mask per box. masks: bool (N, H, W); scores: float32 (N,), the predicted IoU."""

    masks: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class ConceptInstances:
    """What a concept segmenter found in one image of P phrases.

    detections: labels index that image's phrases, scores say how sure the instance is, given that its phrase is in the
    image; masks: bool (N, H, W), one per detection; presence: float32 (P,), from 0 to 1, that the phrase is in the
    image at all, ones for a model that does not say. The score of a candidate is the product of both.
    """

    detections: Detections
    masks: np.ndarray
    presence: np.ndarray


@runtime_checkable
class Detector(Protocol):
    """Open-vocabulary detector."""

    def detect(self, images: Sequence[np.ndarray], prompts: Sequence[Sequence[str]]) -> list[Detections]:
        """One prompt (a list of class names) per image; one ``Detections`` per image, in order."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Box-prompted segmenter."""

    def segment(self, images: Sequence[np.ndarray], boxes_xyxy: Sequence[np.ndarray]) -> list[InstanceMasks]:
        """Boxes float32 (N, 4) per image, N may be 0; one ``InstanceMasks`` per image, in order."""
        ...


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Image and text towers with a shared space."""

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, D), unit norm."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (M, D), unit norm."""
        ...


@runtime_checkable
class StagedEncoder(Protocol):
    """An encoder whose preprocessing can run in workers, apart from the model. Plug-ins need not be one."""

    def prepare_image(self, image: np.ndarray) -> np.ndarray:
        """One RGB uint8 (H, W, 3) image to what the model takes; thread-safe."""
        ...

    def encode_prepared(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (N, D), unit norm, as ``encode_images`` of the images that were prepared."""
        ...


@runtime_checkable
class ConceptSegmenter(Protocol):
    """Detector and segmenter in one: phrases to instances with masks."""

    def segment_concepts(
        self, images: Sequence[np.ndarray], phrases: Sequence[Sequence[str]]
    ) -> list[ConceptInstances]:
        """A list of phrases per image, at least one; one ``ConceptInstances`` per image, in order."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Photo, candidates and sentences to scores.

    scale: what the numbers are, as "log probability"; it is stored with them.
    """

    scale: str

    def score_pairs(self, image: np.ndarray, masks: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """float32 (S, K), higher is better, of a ref's S >= 1 sentences and its K >= 1 candidates, bool (K, H, W).

        The refs of a photo come one after the other with the same array, so that what is computed of a photo once can
        be kept for as long as ``image is`` the last one.
        """
        ...
