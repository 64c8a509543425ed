"""Scores as data: every candidate against every sentence of its ref, in one pass over the photos.

The expensive half of Select. It knows nothing of how a candidate is chosen (``choice``), so that changing the choice
runs no model. Each distinct instance of a photo is marked and encoded once, however many refs have it as a candidate;
workers decode, mark and resize ahead of the model, which always gets full batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.backends import ImageTextEncoder, load_backend
from ssc_core.contracts import StagedEncoder
from ssc_core.errors import SscError
from ssc_core.masks import MaskStore, ScoreStoreWriter, StoreInfo
from ssc_core.provenance import code_version
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref_table import Ref, open_photos, read_refs, refs_by_image
from ssc_core.registry import model_digests
from ssc_core.select.prompts import prompted_images
from ssc_core.settings import CompatSettings, ScoreSettings

SCORE_SCALE = 100.0
DECIMALS = 3
"""Scores are rounded to this: coarser than what batch sizes change in the last bits, so that equal masks tie however
photos fell into batches and shards, and far finer than the differences between candidates."""

IMAGES_AT_ONCE = 64
"""Prompted images that the encoder gets together, unless ``compute.batch.score`` says otherwise."""

PHOTOS_AHEAD = 2
"""Photos a worker that may lie prepared before the model takes them; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and what is to be scored in it. candidates: ref id -> instance rows; rows: the distinct ones, sorted."""

    file_name: str
    candidates: dict[int, np.ndarray]
    rows: np.ndarray


@dataclass(frozen=True, slots=True)
class Marked:
    """A photo's encoder inputs, ``len(rows) * len(prompts)`` of them, and the pixels of each of its rows."""

    photo: Photo
    inputs: list[np.ndarray]
    areas: np.ndarray


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

    ``masks`` may be one shard of the split. ``images`` is the folder that file names are relative to. A score is the
    cosine of image and text features times 100, averaged over the prompts of ``settings``. A ref without candidates
    gets a (S, 0) block; one with a single candidate is scored like the others. batch_size: ``compute.batch.score``.

    Raises SscError when the masks hold a ref that is not of the split, or a photo cannot be read.
    """
    encoder = load_backend(
        settings.backend.name,
        settings.backend.settings,
        ImageTextEncoder,
        device=device,
        threads=threads,
        batch_size=batch_size,
    )
    info = StoreInfo(
        class_names=(),
        settings={**settings.model_dump(mode="json"), "clip_bgr": compat.clip_bgr},
        code=code_version("ssc_core.select.scoring"),
        models=model_digests(settings.backend.settings, "score"),
    )
    with MaskStore.open(masks, with_masks=True) as store, ScoreStoreWriter(out, info) as writer:
        known = _refs_of(store, read_refs(refs, split), split)
        text_features = TextFeatures(encoder, [text for ref in known.values() for text in ref.sentences])
        marker = Marker(open_photos(refs, images), store, encoder, settings, compat)
        for marked, features in encode_photos(_photos(known, store), marker, threads, batch_size or IMAGES_AT_ONCE):
            for ref_id, rows in marked.photo.candidates.items():
                places = np.searchsorted(marked.photo.rows, rows)
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


class Marker:
    """Turns a photo into the encoder's inputs; calls run side by side in workers."""

    def __init__(
        self,
        read_photo: PhotoReader,
        store: MaskStore,
        encoder: ImageTextEncoder,
        settings: ScoreSettings,
        compat: CompatSettings,
    ) -> None:
        self.encode: Callable[[Sequence[np.ndarray]], np.ndarray] = encoder.encode_images
        self._prepare: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray
        if isinstance(encoder, StagedEncoder):
            self.encode, self._prepare = encoder.encode_prepared, encoder.prepare_image
        self.settings = settings
        self._read_photo = read_photo
        self._store = store
        self._bgr = compat.clip_bgr

    def __call__(self, photo: Photo) -> Marked:
        """Read a photo, mark each of its rows with each prompt, and prepare the results for the encoder."""
        if len(photo.rows) == 0:
            return Marked(photo, [], np.zeros(0, dtype=np.int64))
        masks = self._store.masks(photo.rows)
        image = self._read_photo(photo.file_name)
        prompted = prompted_images(image, masks, self.settings.prompts, blur_sigma=self.settings.blur_sigma)
        inputs = [self._prepare(np.ascontiguousarray(one[..., ::-1]) if self._bgr else one) for one in prompted]
        return Marked(photo, inputs, masks.sum(axis=(1, 2), dtype=np.int64))


def encode_photos(
    photos: Sequence[Photo], marker: Marker, threads: int, batch: int = IMAGES_AT_ONCE
) -> Iterator[tuple[Marked, np.ndarray]]:
    """Every photo in order, with the features (K, P, D) of its K rows under the P prompts."""
    progress = tqdm(photos, desc="score", unit="photo", mininterval=10)
    with ThreadPoolExecutor(threads) as pool:
        marked = in_order(pool, marker, progress, PHOTOS_AHEAD * threads)
        for photo, features in in_batches(marked, marker.encode, batch):
            yield photo, features.reshape(len(photo.photo.rows), len(marker.settings.prompts), features.shape[-1])


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Photo], Marked], photos: Iterable[Photo], ahead: int
) -> Iterator[Marked]:
    """``map`` by the pool's workers, in order, never more than ``ahead`` photos beyond what was taken."""
    running: deque[Future[Marked]] = deque()
    for photo in photos:
        running.append(pool.submit(work, photo))
        if len(running) > ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


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
    return photo, np.stack(own) if own else np.zeros((0, 1), dtype=np.float32)


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
        candidates = {ref_id: store.candidates(ref_id).rows for ref_id in store.all_refs_of(image_id)}
        if candidates:
            rows = np.unique(np.concatenate(list(candidates.values())))
            photos.append(Photo(refs[next(iter(candidates))].file_name, candidates, rows))
    return photos
