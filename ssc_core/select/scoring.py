"""Scores as data: every candidate against every sentence of its ref, in one pass over the photos.

The expensive half of Select. It knows nothing of how a candidate is chosen (``choice``), so that changing the choice
runs no model. Each distinct instance of a photo is marked and encoded once, however many refs have it as a candidate;
workers decode, mark and resize ahead of the model, which always gets full batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.config.labelling import CompatSettings, ScoreSettings
from ssc_core.contracts import StagedEncoder
from ssc_core.errors import SscError
from ssc_core.masks.candidates import distinct_masks, read_candidates
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStore
from ssc_core.prefetch import ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref_table import Ref, open_photos, read_refs, refs_by_image
from ssc_core.registry import VISUAL_PROMPT, model_digests, own_versions
from ssc_core.select.prompts import load_prompt, prompted_images

SCORE_SCALE = 100.0
DECIMALS = 3
"""Scores are rounded to this: coarser than what batch sizes change in the last bits, so that equal masks tie however
photos fell into batches and shards, and far finer than the differences between candidates."""

IMAGES_AT_ONCE = 64
"""Prompted images that the encoder gets together, unless ``compute.batch.score`` says otherwise."""

_NO_FEATURES = np.zeros((0, 1), dtype=np.float32)

SWITCHES = ("clip_bgr", "merged_masks")
"""The compat switches of this step."""

PHOTOS_AHEAD = 2
"""Photos a worker that may lie prepared before the model takes them; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and the ids of the refs whose candidates are to be scored in it."""

    file_name: str
    refs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A photo's encoder inputs, one for each of its N distinct candidates and each prompt; areas: int64 (N,), pixels;
    places: int64 (K,), for each of its refs, which of the N are its own."""

    photo: Photo
    inputs: list[np.ndarray]
    areas: np.ndarray
    places: list[np.ndarray] = field(default_factory=list)


def score_candidates(
    *,
    refs: Path,
    split: str,
    masks: Path,
    images: Path,
    out: Path,
    settings: ScoreSettings,
    compat: CompatSettings,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
) -> None:
    """Write ``out`` (scores.h5): for every ref of ``masks``, the score of each sentence and candidate.

    ``masks`` may be one shard of the split; a ref's candidates are those of ``read_candidates``. ``images`` is the
    folder that file names are relative to. A score is the cosine of image and text features times 100, averaged over
    the prompts of ``settings``. A ref without candidates gets a (S, 0) block; one with a single candidate is scored
    like the others. batch_size: ``compute.batch.score``.

    Raises SscError when the masks hold a ref that is not of the split, or a photo cannot be read.
    """
    encoder = load_backend(
        settings.backend.name,
        settings.backend.settings,
        ImageTextEncoder,
        device=device,
        threads=threads,
        batch_size=batch_size or None,
    )
    info = StoreInfo(
        class_names=(),
        settings={**settings.model_dump(mode="json"), **compat.model_dump(include=set(SWITCHES))},
        code=" ".join(
            filter(None, [code_version("ssc_core.select.scoring"), own_versions(VISUAL_PROMPT, *settings.prompts)])
        ),
        models=model_digests(settings.backend.settings, "score"),
    )
    with MaskStore.open(masks, with_masks=True) as store, ScoreStoreWriter(out, info) as writer:
        known = _refs_of(store, read_refs(refs, split), split)
        text_features = TextFeatures(encoder, [text for ref in known.values() for text in ref.sentences])
        prompter = Prompter(encoder, settings, compat)
        marker = Marker(open_photos(refs, images), store, prompter, merged=compat.merged_masks)
        for marked, features in encode_photos(_photos(known, store), marker, threads, batch_size or IMAGES_AT_ONCE):
            for ref_id, places in zip(marked.photo.refs, marked.places, strict=True):
                scores = score(features[places], text_features[known[ref_id].sentences])
                writer.append_ref(ref_id, scores, marked.areas[places])


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


class Prompter:
    """Candidates as an encoder takes them, and their features. ``inputs`` may run in several threads at once."""

    def __init__(self, encoder: ImageTextEncoder, settings: ScoreSettings, compat: CompatSettings) -> None:
        self.encode: Callable[[Sequence[np.ndarray]], np.ndarray] = encoder.encode_images
        self._prepare: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
        if isinstance(encoder, StagedEncoder):
            self.encode, self._prepare = encoder.encode_prepared, encoder.prepare_image
        self._prompts = [load_prompt(name) for name in settings.prompts]
        self._sigma, self._bgr = settings.blur_sigma, compat.clip_bgr

    def inputs(self, image: np.ndarray, masks: np.ndarray) -> list[np.ndarray]:
        """The photo, RGB uint8 (H, W, 3), with each mask of bool (N, H, W) marked by each prompt, masks outermost."""
        prompted = prompted_images(image, masks, self._prompts, blur_sigma=self._sigma)
        return [self._prepare(np.ascontiguousarray(one[..., ::-1]) if self._bgr else one) for one in prompted]

    def by_mask(self, features: np.ndarray) -> np.ndarray:
        """Features of ``inputs`` (N * P, D), a row each of the P prompts, to (N, P, D)."""
        prompts = len(self._prompts)
        return features.reshape(len(features) // prompts, prompts, features.shape[-1])

    def features(self, image: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Features of every mask under every prompt, (N, P, D)."""
        inputs = self.inputs(image, masks)
        starts = range(0, len(inputs), IMAGES_AT_ONCE)
        batches = [self.encode(inputs[start : start + IMAGES_AT_ONCE]) for start in starts]
        return self.by_mask(np.concatenate(batches) if batches else _NO_FEATURES)


class Marker:
    """Turns a photo of a split into the encoder's inputs; calls run side by side in workers."""

    def __init__(self, read_photo: PhotoReader, store: MaskStore, prompter: Prompter, *, merged: bool) -> None:
        self.prompter = prompter
        self._read_photo, self._store, self._merged = read_photo, store, merged

    def __call__(self, photo: Photo) -> Marked:
        """Read a photo that has candidates, mark each distinct one with each prompt, and prepare the results."""
        candidates = [read_candidates(self._store, ref_id, merged=self._merged) for ref_id in photo.refs]
        masks, places = distinct_masks(candidates)
        inputs = self.prompter.inputs(self._read_photo(photo.file_name), masks) if len(masks) else []
        return Marked(photo, inputs, masks.sum(axis=(1, 2), dtype=np.int64), places)


def encode_photos(
    photos: Sequence[Photo], marker: Marker, threads: int, batch: int = IMAGES_AT_ONCE
) -> Iterator[tuple[Marked, np.ndarray]]:
    """Every photo in order, with the features (N, P, D) of its N distinct candidates under the P prompts."""
    progress = tqdm(photos, desc="score", unit="photo", mininterval=10)
    with worker_threads(threads) as pool:
        marked = ahead(marker, progress, pool, PHOTOS_AHEAD * threads)
        for photo, features in in_batches(marked, marker.prompter.encode, batch):
            yield photo, marker.prompter.by_mask(features)


def in_batches(
    photos: Iterable[Marked], encode: Callable[[Sequence[np.ndarray]], np.ndarray], batch: int
) -> Iterator[tuple[Marked, np.ndarray]]:
    """Encode the inputs of photo after photo in batches of exactly ``batch``, the last one excepted.

    Yields every photo, in order, with the features of its inputs (N, D), as soon as they are whole.
    """
    waiting: deque[Marked] = deque()
    inputs: list[np.ndarray] = []
    features: deque[np.ndarray] = deque()
    for photo in photos:
        waiting.append(photo)
        inputs.extend(photo.inputs)
        while len(inputs) >= batch:
            features.extend(encode(inputs[:batch]))
            del inputs[:batch]
        while waiting and len(waiting[0].inputs) <= len(features):
            yield _take(waiting.popleft(), features)
    if inputs:
        features.extend(encode(inputs))
    while waiting:
        yield _take(waiting.popleft(), features)


def _take(photo: Marked, features: deque[np.ndarray]) -> tuple[Marked, np.ndarray]:
    own = [features.popleft() for _ in photo.inputs]
    return photo, np.stack(own) if own else _NO_FEATURES


def _refs_of(store: MaskStore, table: pd.DataFrame, split: str) -> dict[int, Ref]:
    """The refs of the store, by id and in its order."""
    refs = {ref.ref_id: ref for members in refs_by_image(table).values() for ref in members}
    unknown = [ref_id for ref_id in store.ref_ids.tolist() if ref_id not in refs]
    if unknown:
        raise SscError(
            f"{store.path} has {len(unknown)} refs that the annotations do not have in split '{split}', such as "
            f"{unknown[0]}: was it made from other annotations? Delete it and run the same command again"
        )
    return {ref_id: refs[ref_id] for ref_id in store.ref_ids.tolist()}


def _photos(refs: Mapping[int, Ref], store: MaskStore) -> list[Photo]:
    photos = []
    for image_id in store.image_ids.tolist():
        if members := store.all_refs_of(image_id):
            ref, size = refs[members[0]], store.image_size(image_id)
            if size != (ref.height, ref.width):
                raise SscError(
                    f"{store.path} has masks of {size[0]} x {size[1]} pixels (height x width) for {ref.file_name}, "
                    f"which has {ref.height} x {ref.width}: was it made from other photos? Delete it and run the same "
                    "command again"
                )
            photos.append(Photo(ref.file_name, tuple(members)))
    return photos
