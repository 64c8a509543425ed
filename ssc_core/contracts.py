"""What a detector, a segmenter and an image-text encoder are, and what they must return.

All images are RGB ``uint8 (H, W, 3)`` arrays; boxes are ``x0, y0, x1, y1`` in absolute pixels.

No stage sees a plug-in itself: it gets the checker of its kind, which hands on whatever keeps the contract, as float32
and int64, and raises SscError for the rest. A new kind of plug-in is a protocol, a checker, and a line of ``CHECKERS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol, TypeVar, runtime_checkable

import numpy as np

from ssc_core.errors import SscError

UNIT_NORM = 0.01
"""How far from 1 the length of a feature may be: half precision rounds that much."""

Result = TypeVar("Result")


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


class CheckedDetector(Checker):
    """A ``Detector``. Photos may be ``Prepared``; what is not is prepared here."""

    kind = "detector"

    def prepare(self, image: np.ndarray) -> Prepared:
        """Thread-safe if the backend's own ``prepare`` is; a backend without one gets the photo."""
        return _prepare(self._backend, image)

    def detect(self, images: Sequence[Any], prompts: Sequence[Sequence[str]]) -> list[Detections]:
        """As the protocol has it."""
        ready = [_ready(self._backend, image) for image in images]
        found = self._backend.detect([photo.value for photo in ready], prompts)
        results = self._results(found, len(ready), Detections, "detect")
        return [
            self._one(where, one, len(prompt), photo.size)
            for (where, one), prompt, photo in zip(results, prompts, ready, strict=True)
        ]

    def _one(self, where: str, one: Detections, classes: int, size: tuple[int, int]) -> Detections:
        boxes = self._array("detect", f"boxes_xyxy{where}", one.boxes_xyxy, "float", (None, 4))
        count = len(boxes)
        scores = self._array("detect", f"scores{where}", one.scores, "float", (count,))
        labels = self._array("detect", f"labels{where}", one.labels, "integer", (count,))
        if problem := _wrong_boxes(boxes, size):
            self._fail("detect", f"boxes_xyxy{where} {problem}")
        if count and not (scores.min() >= 0 and scores.max() <= 1):
            self._fail("detect", f"scores{where} from {scores.min():g} to {scores.max():g}, not from 0 to 1")
        if count and not (labels.min() >= -1 and labels.max() < classes):
            self._fail(
                "detect",
                f"labels{where} from {labels.min()} to {labels.max()}, which are no indices of the prompt's {classes} "
                "classes (nor -1, for none)",
            )
        return Detections(boxes, scores, labels)


class CheckedSegmenter(Checker):
    """A ``Segmenter``. Photos may be ``Prepared``; what is not is prepared here."""

    kind = "segmenter"

    def prepare(self, image: np.ndarray) -> Prepared:
        """Thread-safe if the backend's own ``prepare`` is; a backend without one gets the photo."""
        return _prepare(self._backend, image)

    def segment(self, images: Sequence[Any], boxes_xyxy: Sequence[np.ndarray]) -> list[InstanceMasks]:
        """As the protocol has it."""
        ready = [_ready(self._backend, image) for image in images]
        found = self._backend.segment([photo.value for photo in ready], boxes_xyxy)
        results = self._results(found, len(ready), InstanceMasks, "segment")
        return [
            self._one(where, one, (len(boxes), *photo.size))
            for (where, one), boxes, photo in zip(results, boxes_xyxy, ready, strict=True)
        ]

    def _one(self, where: str, one: InstanceMasks, shape: tuple[int, int, int]) -> InstanceMasks:
        masks = self._array("segment", f"masks{where}", one.masks, "bool", shape)
        scores = self._array("segment", f"scores{where}", one.scores, "float", shape[:1])
        # an array of 0 and 255 that was declared bool; its masks would be cut to pieces by the run-length code
        if masks.size and masks.view(np.uint8).max() > 1:
            self._fail("segment", f"masks{where} whose bytes are not 0 and 1; make them with a comparison, `masks > 0`")
        return InstanceMasks(masks, scores)


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
    ImageTextEncoder: _encoder,
}
"""What makes the checker of a backend, by protocol."""

_KINDS = {"float": ("f", np.dtype("float32")), "integer": ("iu", np.dtype("int64")), "bool": ("b", np.dtype("bool"))}


def checked(backend: Any, name: str, protocol: type) -> Any:
    """The backend behind the checker of its protocol. Raises SscError when it lacks a method."""
    if not isinstance(backend, protocol):
        methods = [method for method in vars(protocol) if not method.startswith("_")]
        raise SscError(f"backend '{name}' is no {protocol.__name__}: it needs the methods {', '.join(methods)}")
    return CHECKERS[protocol](backend, name)


def _prepare(backend: Any, image: np.ndarray) -> Prepared:
    prepare = getattr(backend, "prepare", None)
    return Prepared(prepare(image) if prepare else image, image.shape[:2])


def _ready(backend: Any, image: Any) -> Prepared:
    return image if isinstance(image, Prepared) else _prepare(backend, image)


def _wrong_boxes(boxes: np.ndarray, size: tuple[int, int]) -> str:
    """What is wrong with the boxes (N, 4) of a photo of ``size`` (height, width); nothing for good ones."""
    low, high, (height, width) = boxes[:, :2], boxes[:, 2:], size
    if (low > high).any():
        return "with x0 > x1 or y0 > y1, not x0, y0, x1, y1"
    if (high < 0).any() or (low > [width, height]).any():
        return f"outside the photo, which has {width} x {height} pixels (width x height)"
    if len(boxes) and 0 < boxes.max() <= 1 and min(size) > 1:
        return "that all lie in the photo's first pixel, as shares of its sides do, not in absolute pixels"
    return ""


def _called(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return "None" if value is None else f"a {type(value).__name__}"
