"""Scores as data: every candidate against every sentence of its ref, in one pass over the photos.

The expensive half of Select. It knows nothing of how a candidate is chosen (``choice``), so that changing the choice
runs no model. Each distinct instance of a photo is prepared once, however many refs have it as a candidate; workers
decode, mark and resize ahead of the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from ssc_core.masks.candidates import distinct_masks, read_candidates
from ssc_core.masks.store import MaskStore
from ssc_core.prefetch import ahead, worker_threads
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref import Ref
from ssc_core.select.scorers import Ready, Scorer

PHOTOS_AHEAD = 2
"""Photos a worker that may lie prepared before the model takes them; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and the refs whose candidates are to be scored in it."""

    file_name: str
    refs: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A photo's refs with the score of every sentence and candidate, float32 (S, K) each, and the candidates' areas,
    int64 (K,), pixels."""

    photo: Photo
    scores: list[np.ndarray]
    areas: list[np.ndarray]


@dataclass(frozen=True, slots=True)
class Marked:
    """A photo ready for a scorer. areas: int64 (K,) of the candidates of each of its refs, pixels."""

    photo: Photo
    ready: Ready
    areas: list[np.ndarray]


class Marker:
    """Turns a photo of a split into what a scorer takes; calls run side by side in workers."""

    def __init__(self, read_photo: PhotoReader, store: MaskStore, scorer: Scorer, *, merged: bool) -> None:
        self.scorer = scorer
        self._read_photo, self._store, self._merged = read_photo, store, merged

    def __call__(self, photo: Photo) -> Marked:
        """Read a photo that has candidates, and prepare it with each distinct one."""
        candidates = [read_candidates(self._store, ref.ref_id, merged=self._merged) for ref in photo.refs]
        masks, places = distinct_masks(candidates)
        areas = masks.areas()
        inputs = self.scorer.prepare(self._read_photo(photo.file_name), masks) if len(masks) else None
        return Marked(
            photo, Ready(inputs, places, [ref.sentences for ref in photo.refs]), [areas[own] for own in places]
        )


def score_photos(photos: Sequence[Photo], marker: Marker, threads: int) -> Iterator[Scored]:
    """Every photo in order, scored."""
    progress = tqdm(photos, desc="score", unit="photo", mininterval=10)
    texts = [text for photo in photos for ref in photo.refs for text in ref.sentences]
    with worker_threads(threads) as pool:
        waiting: deque[Marked] = deque()

        def ready() -> Iterator[Ready]:
            for marked in ahead(marker, progress, pool, PHOTOS_AHEAD * threads):
                waiting.append(marked)
                yield marked.ready

        for scores in marker.scorer.scores(ready(), texts):
            marked = waiting.popleft()
            yield Scored(marked.photo, scores, marked.areas)
