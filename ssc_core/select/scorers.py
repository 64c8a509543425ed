"""Either kind of scorer behind one face: workers prepare photos ahead, and one thread scores them in order.

``EncoderScorer`` is the published way: an image-text encoder looks at the photo with each candidate marked. Prompted
images of photo after photo share batches. ``PairwiseScorer`` hands a pair scorer a photo, a ref's candidates and its
sentences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ssc_core.backends import ImageTextEncoder, PairScorer, load_backend
from ssc_core.checkers import CheckedPairScorer
from ssc_core.config.labelling import CompatSettings, ScoreSettings
from ssc_core.contracts import StagedEncoder
from ssc_core.masks.candidates import Masks
from ssc_core.select.prompts import load_prompt, prompted_images

SCORE_SCALE = 100.0
DECIMALS = 3
"""Scores of encoders are rounded to this: coarser than what batch sizes change in the last bits, so that equal masks
tie however photos fell into batches and shards, and far finer than the differences between candidates."""

IMAGES_AT_ONCE = 64
"""Prompted images that the encoder gets together, unless ``compute.batch.score`` says otherwise."""

_NO_FEATURES = np.zeros((0, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Ready:
    """A photo as a scorer takes it.

    inputs: what the scorer's ``prepare`` made of photo and masks, None without candidates; places: int64 (K,) for each
    of its refs, which of the photo's distinct candidates are its own; sentences: of each of its refs.
    """

    inputs: Any
    places: Sequence[np.ndarray] = ()
    sentences: Sequence[Sequence[str]] = ()


class Scorer(Protocol):
    """What scoring asks of either kind. scale: what the numbers are, stored with them."""

    scale: str

    def prepare(self, image: np.ndarray, masks: Masks) -> Any:
        """A photo, RGB uint8 (H, W, 3), and its N distinct candidates; several threads call it."""
        ...

    def scores(self, photos: Iterable[Ready], texts: Iterable[str]) -> Iterator[list[np.ndarray]]:
        """For every photo, in order, float32 (S, K) of each of its refs. texts: all sentences of all photos."""
        ...


def load_scorer(
    settings: ScoreSettings, compat: CompatSettings, *, device: str, threads: int, batch_size: int | None = None
) -> Scorer:
    """The scorer that a section of the config describes. batch_size: ``compute.batch.score``.

    Raises SscError when its backend cannot be built, or is neither a pair scorer nor an encoder.
    """
    backend = settings.backend
    batch = batch_size or None
    options: dict[str, Any] = {"device": device, "threads": threads, "batch_size": batch}
    model = load_backend(backend.name, backend.settings, PairScorer, ImageTextEncoder, **options)
    if isinstance(model, CheckedPairScorer):
        return PairwiseScorer(model)
    return EncoderScorer(model, settings, compat, batch or IMAGES_AT_ONCE)


class PairwiseScorer:
    """A pair scorer, asked ref by ref; scores are kept as it gives them."""

    def __init__(self, model: CheckedPairScorer) -> None:
        self.model = model
        self.scale = model.scale

    def prepare(self, image: np.ndarray, masks: Masks) -> Any:
        """As the protocol has it."""
        return self.model.prepare(image), masks

    def scores(self, photos: Iterable[Ready], texts: Iterable[str]) -> Iterator[list[np.ndarray]]:
        """As the protocol has it."""
        for photo in photos:
            image, masks = photo.inputs or (None, Masks([], (1, 1)))
            yield [
                self.model.score_pairs(image, masks[own], sentences)
                for own, sentences in zip(photo.places, photo.sentences, strict=True)
            ]


class EncoderScorer:
    """An encoder and visual prompts: a score is the cosine of image and text features times 100, mean over prompts."""

    scale = "cosine x 100"

    def __init__(
        self, encoder: ImageTextEncoder, settings: ScoreSettings, compat: CompatSettings, batch: int = IMAGES_AT_ONCE
    ) -> None:
        self.encoder = encoder
        self.encode: Callable[[Sequence[np.ndarray]], np.ndarray] = encoder.encode_images
        self._prepare_image: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
        if isinstance(encoder, StagedEncoder):
            self.encode, self._prepare_image = encoder.encode_prepared, encoder.prepare_image
        self._prompts = [load_prompt(name) for name in settings.prompts]
        self._sigma, self._bgr, self._batch = settings.blur_sigma, compat.clip_bgr, batch

    def prepare(self, image: np.ndarray, masks: Masks) -> list[np.ndarray]:
        """The encoder's inputs: the photo with each mask marked by each prompt, masks outermost."""
        prompted = prompted_images(image, masks, self._prompts, blur_sigma=self._sigma)
        return [self._prepare_image(np.ascontiguousarray(one[..., ::-1]) if self._bgr else one) for one in prompted]

    def scores(self, photos: Iterable[Ready], texts: Iterable[str]) -> Iterator[list[np.ndarray]]:
        """As the protocol has it. Each distinct sentence is encoded once."""
        features_of = TextFeatures(self.encoder, texts)
        for photo, features in in_batches(photos, self.encode, self._batch):
            by_mask = self._by_mask(features)
            yield [
                score(by_mask[own], features_of[sentences])
                for own, sentences in zip(photo.places, photo.sentences, strict=True)
            ]

    def _by_mask(self, features: np.ndarray) -> np.ndarray:
        """Features of ``prepare`` (N * P, D), a row each of the P prompts, to (N, P, D)."""
        prompts = len(self._prompts)
        return features.reshape(len(features) // prompts, prompts, features.shape[-1])


def score(image_features: np.ndarray, text_features: np.ndarray) -> np.ndarray:
    """Cosine times 100, mean over the P prompts, float32 (S, K). image_features: (K, P, D); text_features: (S, D)."""
    if len(image_features) == 0:
        return np.zeros((len(text_features), 0), dtype=np.float32)
    return np.round(SCORE_SCALE * text_features @ image_features.mean(axis=1).T, DECIMALS)


class TextFeatures:
    """Features of sentences, each distinct one encoded once."""

    def __init__(self, encoder: ImageTextEncoder, sentences: Iterable[str]) -> None:
        distinct = list(dict.fromkeys(sentences))
        self._row = {text: row for row, text in enumerate(distinct)}
        self._features = encoder.encode_texts(distinct) if distinct else np.zeros((0, 0), dtype=np.float32)

    def __getitem__(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 (S, D)."""
        return self._features[[self._row[text] for text in sentences]]


def in_batches(
    photos: Iterable[Ready], encode: Callable[[Sequence[np.ndarray]], np.ndarray], batch: int
) -> Iterator[tuple[Ready, np.ndarray]]:
    """Encode the inputs of photo after photo in batches of exactly ``batch``, the last one excepted.

    Yields every photo, in order, with the features of its inputs (N, D), as soon as they are whole.
    """
    waiting: deque[_Waiting] = deque()
    inputs: list[np.ndarray] = []
    features: deque[np.ndarray] = deque()
    for photo in photos:
        own = photo.inputs or []
        waiting.append(_Waiting(photo, len(own)))
        inputs.extend(own)
        while len(inputs) >= batch:
            features.extend(encode(inputs[:batch]))
            del inputs[:batch]
        while waiting and waiting[0].count <= len(features):
            yield waiting.popleft().take(features)
    if inputs:
        features.extend(encode(inputs))
    while waiting:
        yield waiting.popleft().take(features)


@dataclass(frozen=True, slots=True)
class _Waiting:
    photo: Ready
    count: int

    def take(self, features: deque[np.ndarray]) -> tuple[Ready, np.ndarray]:
        own = [features.popleft() for _ in range(self.count)]
        return self.photo, np.stack(own) if own else _NO_FEATURES
