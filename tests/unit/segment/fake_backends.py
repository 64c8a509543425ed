"""Small deterministic backends behind the plug-in contract, for tests of the stage around them."""

from __future__ import annotations

import numpy as np

from ssc_core.backends import ConceptInstances, Detections, InstanceMasks


class ColourDetector:
    """One box per class of the prompt, its place read off the photo's first pixel.

    classless: prompts in which a box has no class (label -1), unless they ask for "all ..."; twins: a second box of
    each class, 1 pixel aside; fail_at: image call at which it breaks.
    """

    calls: list[tuple[str, ...]]

    def __init__(self, classless: list[str] | None = None, twins: bool = False, fail_at: int | None = None) -> None:
        self.classless, self.twins, self.fail_at = set(classless or ()), twins, fail_at
        ColourDetector.calls = []

    def detect(self, images, prompts):
        return [self._one(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _one(self, image, prompt):
        ColourDetector.calls.append(tuple(prompt))
        if self.fail_at is not None and len(ColourDetector.calls) > self.fail_at:
            raise RuntimeError("broken on purpose")
        boxes, scores, labels = [], [], []
        for label, name in enumerate(prompt):
            x = float(image[0, 0, 0] % 8 + 4 * label)
            for shift in (0, 1) if self.twins else (0,):
                boxes.append([x + shift, 2, x + shift + 10, 12])
                scores.append(0.5 + 0.1 * label - 0.01 * shift)
                labels.append(-1 if name in self.classless else label)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64)
        )


class PreparingDetector(ColourDetector):
    """Gets what its own ``prepare`` made, not photos."""

    def prepare(self, image):
        return ("prepared", image)

    def detect(self, images, prompts):
        assert all(kind == "prepared" for kind, _ in images)
        return super().detect([image for _, image in images], prompts)


class ColourConcepts(ColourDetector):
    """The same boxes with their insides as masks. presence: of a phrase, 1 for those that it does not name; fail_at as
    there."""

    def __init__(self, presence: dict[str, float] | None = None, **settings) -> None:
        super().__init__(**settings)
        self.presence = presence or {}

    def segment_concepts(self, images, phrases):
        boxes = self.detect(images, phrases)
        filled = FilledBoxes()
        return [
            ConceptInstances(
                found,
                filled._one(image, found.boxes_xyxy).masks,
                np.array([self.presence.get(phrase, 1) for phrase in asked], np.float32),
            )
            for image, found, asked in zip(images, boxes, phrases, strict=True)
        ]


class SamePlace(ColourConcepts):
    """Whatever is asked for, it is in one place."""

    def _one(self, image, prompt):
        found = super()._one(image, prompt)
        return Detections(np.repeat(found.boxes_xyxy[:1], len(prompt), axis=0), found.scores, found.labels)


class BrokenDetector:
    """Breaks the contract in the way that ``how`` names."""

    def __init__(self, how: str) -> None:
        self.how = how

    def detect(self, images, prompts):
        if self.how == "too few":
            return []
        boxes = np.zeros((1, 4), np.float32)
        if self.how == "nan":
            boxes[0, 0] = np.nan
        labels = np.array([99 if self.how == "label" else 0])
        scores = np.zeros(2 if self.how == "shape" else 1, np.float32)
        return [Detections(boxes, scores, labels) for _ in images]


class FilledBoxes:
    """The mask of a box is the box. shape: what size to claim instead of the photo's."""

    def __init__(self, shape: list[int] | None = None) -> None:
        self.shape = shape

    def segment(self, images, boxes_xyxy):
        return [self._one(*pair) for pair in zip(images, boxes_xyxy, strict=True)]

    def _one(self, image, boxes):
        assert len(boxes), "images without boxes are not to be segmented"
        masks = np.zeros((len(boxes), *(self.shape or image.shape[:2])), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        return InstanceMasks(masks, np.linspace(0.5, 0.9, len(boxes), dtype=np.float32))


class LetterEncoder:
    """Text features: how often each letter occurs. Near words have near features."""

    texts: list[str]

    def __init__(self) -> None:
        LetterEncoder.texts = []

    def encode_images(self, images):
        raise AssertionError("projection needs no images")

    def encode_texts(self, texts):
        LetterEncoder.texts += texts
        counts = np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32) + 1e-6
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)
