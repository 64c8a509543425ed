"""No stage sees a plug-in itself: it gets the checker of its kind.

A checker hands on whatever keeps the contract (``ssc_core.contracts``), as float32 and int64, and raises SscError for
the rest. A new kind of plug-in is a protocol, a checker, and a line of ``CHECKERS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from ssc_core.contracts import (
    ConceptInstances,
    ConceptSegmenter,
    Detections,
    Detector,
    ImageTextEncoder,
    InstanceMasks,
    PairScorer,
    Segmenter,
    StagedEncoder,
)
from ssc_core.distinct import distinct
from ssc_core.errors import SscError

UNIT_NORM = 0.01
"""How far from 1 the length of a feature may be: half precision rounds that much."""

TINY_BOXES = 3
"""So many boxes in the first pixels of photos, and none elsewhere, are shares of the photos' sides. One may be there: a
detector that is asked for what is not in a photo gives boxes of all kinds."""

LONGEST_SCALE = 80
"""Characters of a pair scorer's ``scale``, which is stored with every file of its scores."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo on its way to a backend. value: what the backend's ``prepare`` made of it; size: (height, width)."""

    value: Any
    size: tuple[int, int]


class Checker:
    """A backend behind its contract. name: as a config gives it.

    Attributes that are no methods are the backend's own; a method that no checker knows cannot be called.
    """

    kind: str
    page: str = "docs/plug-ins.md"

    def __init__(self, backend: Any, name: str) -> None:
        self._backend, self._name = backend, name

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_") or callable(value := getattr(self._backend, key)):
            raise AttributeError(f"{type(self).__name__} has no '{key}'")
        return value

    def _fail(self, method: str, problem: str) -> NoReturn:
        """method: empty for a plug-in that is called itself; problem: what was given, and what would be right."""
        place = f"{type(self._backend).__name__}.{method}" if method else _called(self._backend)
        raise SscError(f"{self.kind} '{self._name}': {place} gave {problem}. See {self.page}")

    def _results(self, found: Any, count: int, kind: type[Result], method: str) -> Iterator[tuple[str, Result]]:
        """Each of one result per image, with the words for where it is."""
        if not isinstance(found, list | tuple):
            self._fail(method, f"{describe(found)}, not a list with one {kind.__name__} per image")
        if len(found) != count:
            self._fail(method, f"{len(found)} results for {count} images, not one per image")
        for number, one in enumerate(found, start=1):
            where = f" for image {number} of {count}"
            if not isinstance(one, kind):
                self._fail(method, f"{describe(one)}{where}, not ssc_core.backends.{kind.__name__}")
            yield where, one

    def _array(self, method: str, what: str, value: Any, kind: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """An array of a ``kind`` of ``_KINDS`` and a shape, None being any length; floats are finite."""
        letters, dtype = _KINDS[kind]
        fits = isinstance(value, np.ndarray) and value.dtype.kind in letters and value.ndim == len(shape)
        if not fits or any(want not in (None, have) for want, have in zip(shape, value.shape, strict=True)):
            axes = ", ".join("N" if length is None else str(length) for length in shape)
            self._fail(
                method, f"{describe(value)} as {what}, not a NumPy array {dtype} ({axes}{',' * (len(shape) == 1)})"
            )
        with np.errstate(over="ignore"):
            array = value.astype(dtype, copy=False)
        if kind == "float" and not np.isfinite(array).all():
            self._fail(method, f"{what} that are not finite (NaN or infinite)")
        return array


class PhotoChecker(Checker):
    """A backend that photos are shown to. They may be ``Prepared``; what is not is prepared here."""

    _tiny: int | None = 0
    """Boxes that lay in the first pixels of their photos; None once one did not."""

    def prepare(self, image: np.ndarray) -> Prepared:
        """Thread-safe if the backend's own ``prepare`` is; a backend without one gets the photo."""
        prepare = getattr(self._backend, "prepare", None)
        return Prepared(prepare(image) if prepare else image, image.shape[:2])

    @property
    def threshold(self) -> float | None:
        """The least score of what is found, where the backend has one that can be set between calls; else None.

        A backend need not have one, and may call something else so: a number from 0 to 1 counts.
        """
        value = getattr(self._backend, "threshold", None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if 0 <= value <= 1 else None

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._backend.threshold = value

    def _ready(self, images: Sequence[Any]) -> list[Prepared]:
        """One that is given several times, the same object, is prepared once and given so to the backend."""
        different, places = distinct(images)
        ready = [image if isinstance(image, Prepared) else self.prepare(image) for image in different]
        return [ready[place] for place in places]

    def _detections(
        self, method: str, where: str, one: Detections, prompt: tuple[str, int], size: tuple[int, int], least: int
    ) -> Detections:
        """prompt: what labels are indices of, in words, and how many there are; least: the smallest label."""
        boxes = self._array(method, f"boxes_xyxy{where}", one.boxes_xyxy, "float", (None, 4))
        (what, classes), count = prompt, len(boxes)
        scores = self._array(method, f"scores{where}", one.scores, "float", (count,))
        labels = self._array(method, f"labels{where}", one.labels, "integer", (count,))
        if problem := _wrong_boxes(boxes, size):
            self._fail(method, f"boxes_xyxy{where} {problem}")
        self._in_pixels(method, where, boxes, size)
        self._shares(method, f"scores{where}", scores)
        if count and not (labels.min() >= least and labels.max() < classes):
            self._fail(
                method,
                f"labels{where} from {labels.min()} to {labels.max()}, which are no indices of {what.format(classes)}"
                + (" (nor -1, for none)" if least < 0 else ""),
            )
        return Detections(boxes, scores, labels)

    def _in_pixels(self, method: str, where: str, boxes: np.ndarray, size: tuple[int, int]) -> None:
        if self._tiny is None or not len(boxes) or min(size) <= 1:
            return
        self._tiny = self._tiny + len(boxes) if boxes.max() <= 1 else None
        if self._tiny and self._tiny >= TINY_BOXES:
            self._fail(
                method,
                f"boxes_xyxy{where}, as for those before, that all lie in the photo's first pixel, as shares of its "
                "sides do, not in absolute pixels",
            )

    def _shares(self, method: str, what: str, values: np.ndarray) -> None:
        if len(values) and not (values.min() >= 0 and values.max() <= 1):
            self._fail(method, f"{what} from {values.min():g} to {values.max():g}, not from 0 to 1")

    def _masks(self, method: str, where: str, masks: Any, shape: tuple[int, int, int]) -> np.ndarray:
        found = self._array(method, f"masks{where}", masks, "bool", shape)
        # an array of 0 and 255 that was declared bool; its masks would be cut to pieces by the run-length code
        if found.size and found.view(np.uint8).max() > 1:
            self._fail(method, f"masks{where} whose bytes are not 0 and 1; make them with a comparison, `masks > 0`")
        return found


class CheckedDetector(PhotoChecker):
    """A ``Detector``."""

    kind = "detector"

    def detect(self, images: Sequence[Any], prompts: Sequence[Sequence[str]]) -> list[Detections]:
        """As the protocol has it."""
        ready = self._ready(images)
        found = self._backend.detect([photo.value for photo in ready], prompts)
        results = self._results(found, len(ready), Detections, "detect")
        return [
            self._detections("detect", where, one, ("the prompt's {} classes", len(prompt)), photo.size, -1)
            for (where, one), prompt, photo in zip(results, prompts, ready, strict=True)
        ]


class CheckedSegmenter(PhotoChecker):
    """A ``Segmenter``."""

    kind = "segmenter"

    def segment(self, images: Sequence[Any], boxes_xyxy: Sequence[np.ndarray]) -> list[InstanceMasks]:
        """As the protocol has it."""
        ready = self._ready(images)
        found = self._backend.segment([photo.value for photo in ready], boxes_xyxy)
        results = self._results(found, len(ready), InstanceMasks, "segment")
        return [
            self._one(where, one, (len(boxes), *photo.size))
            for (where, one), boxes, photo in zip(results, boxes_xyxy, ready, strict=True)
        ]

    def _one(self, where: str, one: InstanceMasks, shape: tuple[int, int, int]) -> InstanceMasks:
        masks = self._masks("segment", where, one.masks, shape)
        return InstanceMasks(masks, self._array("segment", f"scores{where}", one.scores, "float", shape[:1]))


class CheckedConceptSegmenter(PhotoChecker):
    """A ``ConceptSegmenter``."""

    kind = "concept segmenter"

    def segment_concepts(self, images: Sequence[Any], phrases: Sequence[Sequence[str]]) -> list[ConceptInstances]:
        """As the protocol has it."""
        ready = self._ready(images)
        found = self._backend.segment_concepts([photo.value for photo in ready], phrases)
        results = self._results(found, len(ready), ConceptInstances, "segment_concepts")
        return [
            self._one(where, one, len(asked), photo.size)
            for (where, one), asked, photo in zip(results, phrases, ready, strict=True)
        ]

    def _one(self, where: str, one: ConceptInstances, phrases: int, size: tuple[int, int]) -> ConceptInstances:
        method = "segment_concepts"
        if not isinstance(one.detections, Detections):
            self._fail(method, f"{describe(one.detections)} as detections{where}, not ssc_core.backends.Detections")
        found = self._detections(method, where, one.detections, ("the image's {} phrases", phrases), size, 0)
        masks = self._masks(method, where, one.masks, (len(found.labels), *size))
        presence = self._array(method, f"presence{where}", one.presence, "float", (phrases,))
        self._shares(method, f"presence{where}", presence)
        return ConceptInstances(found, masks, presence)


class CheckedPairScorer(PhotoChecker):
    """A ``PairScorer``. Photos may be ``Prepared`` by its ``prepare``."""

    kind = "pair scorer"

    def __init__(self, backend: Any, name: str) -> None:
        super().__init__(backend, name)
        scale = backend.scale
        if not isinstance(scale, str) or not 0 < len(scale) <= LONGEST_SCALE or not scale.isprintable():
            self._fail(
                "scale", f"{scale!r:.100}, not a few words that say what its numbers are, such as 'cosine x 100'"
            )

    def score_pairs(self, image: Any, masks: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """As the protocol has it; without candidates or sentences the backend is not asked."""
        shape = (len(sentences), len(masks))
        if 0 in shape:
            return np.zeros(shape, np.float32)
        (ready,) = self._ready([image])
        found = self._backend.score_pairs(ready.value, masks, sentences)
        return self._array("score_pairs", "scores", found, "float", shape)


class CheckedEncoder(Checker):
    """An ``ImageTextEncoder``."""

    kind = "encoder"
    _width: int | None = None

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """As the protocol has it."""
        return self._features("encode_images", self._backend.encode_images(images), len(images))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """As the protocol has it."""
        return self._features("encode_texts", self._backend.encode_texts(texts), len(texts))

    def _features(self, method: str, found: Any, count: int) -> np.ndarray:
        features = self._array(method, "features", found, "float", (count, self._width if count else None))
        if count:
            self._width = features.shape[1]
            norms = np.linalg.norm(features, axis=1)
            if np.abs(norms - 1).max() > UNIT_NORM:
                self._fail(method, f"features of lengths from {norms.min():g} to {norms.max():g}, not of unit norm")
        return features


class CheckedStagedEncoder(CheckedEncoder):
    """An ``ImageTextEncoder`` that is a ``StagedEncoder`` too."""

    def prepare_image(self, image: np.ndarray) -> Any:
        """As the protocol has it."""
        return self._backend.prepare_image(image)

    def encode_prepared(self, prepared: Sequence[Any]) -> np.ndarray:
        """As the protocol has it."""
        return self._features("encode_prepared", self._backend.encode_prepared(prepared), len(prepared))


def _encoder(backend: Any, name: str) -> CheckedEncoder:
    return (CheckedStagedEncoder if isinstance(backend, StagedEncoder) else CheckedEncoder)(backend, name)


CHECKERS: Mapping[type, Any] = {
    Detector: CheckedDetector,
    Segmenter: CheckedSegmenter,
    ConceptSegmenter: CheckedConceptSegmenter,
    PairScorer: CheckedPairScorer,
    ImageTextEncoder: _encoder,
}
"""What makes the checker of a backend, by protocol."""

_KINDS = {"float": ("f", np.dtype("float32")), "integer": ("iu", np.dtype("int64")), "bool": ("b", np.dtype("bool"))}


def checked(backend: Any, name: str, *protocols: type) -> Any:
    """The backend behind the checker of the first of ``protocols`` that it keeps. Raises SscError if it keeps none."""
    for protocol in protocols:
        if isinstance(backend, protocol):
            return CHECKERS[protocol](backend, name)
    wanted = " and no ".join(protocol.__name__ for protocol in protocols)
    needed = ", or ".join(" and ".join(_members(protocol)) for protocol in protocols)
    raise SscError(f"backend '{name}' is no {wanted}: it needs {needed}")


def lacking(backend: Any, protocol: type, *, methods_alone: bool = False) -> list[str]:
    """What a backend, or its class, lacks of a protocol. methods_alone: and not the attributes."""
    names = [name for name in vars(protocol) if not name.startswith("_")] if methods_alone else _members(protocol)
    return [name for name in names if not hasattr(backend, name)]


def _members(protocol: type) -> list[str]:
    """What a protocol asks for: attributes, then methods."""
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    return [*vars(protocol).get("__annotations__", {}), *methods]


def _wrong_boxes(boxes: np.ndarray, size: tuple[int, int]) -> str:
    """What is wrong with the boxes (N, 4) of a photo of ``size`` (height, width); nothing for good ones."""
    low, high, (height, width) = boxes[:, :2], boxes[:, 2:], size
    if (low > high).any():
        return "with x0 > x1 or y0 > y1, not x0, y0, x1, y1"
    if (high < 0).any() or (low > [width, height]).any():
        return f"outside the photo, which has {width} x {height} pixels (width x height)"
    return ""


def _called(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return "None" if value is None else f"a {type(value).__name__}"
