"""GroundingDINO and SAM as one model: phrases to instances with masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssc_core.contracts import ConceptInstances
from ssc_core.segment.grounding_dino import GroundingDino
from ssc_core.segment.sam import SegmentAnything


class GroundedSam:
    """A ``ConceptSegmenter`` of detector and segmenter, where one job is wanted instead of two; the same instances.

    detector: folder of a GroundingDINO; model, checkpoint: of SAM. It does not say whether a phrase is in a photo at
    all: every presence is 1. batch_size: photos that SAM sees at once.
    """

    def __init__(
        self,
        detector: str,
        model: str,
        checkpoint: str | None = None,
        *,
        box_threshold: float = 0.35,
        text_threshold: float = 0.25,
        batch_size: int = 4,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self._detector = GroundingDino(
            detector, box_threshold=box_threshold, text_threshold=text_threshold, device=device, threads=threads
        )
        self._segmenter = SegmentAnything(model, checkpoint, batch_size=batch_size, device=device, threads=threads)

    @property
    def threshold(self) -> float:
        """The detector's; it may be set."""
        return self._detector.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._detector.threshold = value

    def segment_concepts(
        self, images: Sequence[np.ndarray], phrases: Sequence[Sequence[str]]
    ) -> list[ConceptInstances]:
        """As the protocol has it. Boxes of no phrase are left out."""
        found = [
            one.taken(one.labels >= 0).clipped(image.shape[:2])
            for one, image in zip(self._detector.detect(images, phrases), images, strict=True)
        ]
        masks = self._segmenter.segment(images, [one.boxes_xyxy for one in found])
        return [
            ConceptInstances(one, of.masks, np.ones(len(asked), np.float32))
            for one, of, asked in zip(found, masks, phrases, strict=True)
        ]
