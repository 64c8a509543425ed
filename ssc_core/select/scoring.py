"""Scores as data: every candidate against every sentence of its ref, in one pass over the photos.

The expensive half of Select. It knows nothing of how a candidate is chosen (``choice``), so that changing the choice
runs no model. Each distinct instance of a photo is prepared once, however many refs have it as a candidate; workers
decode, mark and resize ahead of the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.config.labelling import DEFAULT_SCORER, CompatSettings, ScoreSettings
from ssc_core.errors import SscError
from ssc_core.masks.candidates import distinct_masks, read_candidates
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStore
from ssc_core.prefetch import ahead, worker_threads
from ssc_core.provenance import code_version
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref_table import Ref, open_photos, read_refs, refs_by_image
from ssc_core.registry import BACKEND, VISUAL_PROMPT, model_digests, own_versions
from ssc_core.select.scorers import Ready, Scorer, load_scorer

SWITCHES = ("clip_bgr", "merged_masks")
"""The compat switches of this step."""

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


def score_candidates(
    *,
    refs: Path,
    split: str,
    masks: Path,
    images: Path,
    out: Path,
    settings: ScoreSettings,
    compat: CompatSettings,
    scorer: str = DEFAULT_SCORER,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
) -> None:
    """Write ``out`` (scores.h5): for every ref of ``masks``, the score of each sentence and candidate.

    ``masks`` may be one shard of the split; a ref's candidates are those of ``read_candidates``. ``images`` is the
    folder that file names are relative to. A ref without candidates gets a (S, 0) block; one with a single candidate is
    scored like the others. scorer: its name in the config, stored with the scores, as is what the numbers are;
    batch_size: ``compute.batch.score``.

    Raises SscError when the masks hold a ref that is not of the split, or a photo cannot be read.
    """
    model = load_scorer(settings, compat, device=device, threads=threads, batch_size=batch_size)
    info = StoreInfo(
        class_names=(),
        settings={
            **settings.model_dump(mode="json"),
            **compat.model_dump(include=set(SWITCHES)),
            "scorer": scorer,
            "scale": model.scale,
        },
        code=" ".join(
            filter(
                None,
                [
                    code_version("ssc_core.select.scoring"),
                    own_versions(BACKEND, settings.backend.name),
                    own_versions(VISUAL_PROMPT, *settings.prompts),
                ],
            )
        ),
        models=model_digests(settings.backend.settings, "score" if scorer == DEFAULT_SCORER else f"scorers.{scorer}"),
    )
    with MaskStore.open(masks, with_masks=True) as store, ScoreStoreWriter(out, info) as writer:
        known = _refs_of(store, read_refs(refs, split, images=store.image_ids), split)
        marker = Marker(open_photos(refs, images, store.image_ids), store, model, merged=compat.merged_masks)
        for photo in score_photos(_photos(known, store), marker, threads):
            for ref, scores, areas in zip(photo.photo.refs, photo.scores, photo.areas, strict=True):
                writer.append_ref(ref.ref_id, scores, areas)


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
        areas = masks.sum(axis=(1, 2), dtype=np.int64)
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
            photos.append(Photo(ref.file_name, tuple(refs[member] for member in members)))
    return photos
