"""The zero-shot baseline without nouns and Select: Segment is asked for the whole sentence as one phrase."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.evaluate.pairs import LoadOrSkip
from ssc_core.masks import rle
from ssc_core.prefetch import ahead, worker_threads
from ssc_core.tables import read_frame, write_frame

Ground = Callable[[Sequence[np.ndarray], Sequence[str]], Sequence[tuple[float, np.ndarray]]]
"""Photos and a sentence each to the score and the mask, bool (H, W), of the best instance; NaN without one."""

SENTENCES_A_CALL, OF_A_PHOTO = 16, 32
"""So many sentences at least are asked for together, and those of a photo, of which models share work, up to so many:
each has a mask of the photo's size."""


def ground_sentences(
    *,
    refs: pd.DataFrame,
    images: LoadOrSkip,
    ground: Ground,
    out: Path,
    provenance: Mapping[str, Any],
) -> None:
    """Write ``out`` (grounded.parquet): for every sentence the best instance that Segment finds for it.

    A row per sentence: ``sent_id``, ``box_score`` (NaN without an instance) and the COCO RLE ``rle height width`` in
    photo pixels; without one, and for a photo that is skipped, the mask is empty. refs: a RefTable; provenance: JSON
    values for ``read_grounded``.
    """
    rows: list[dict[str, Any]] = []
    with (
        worker_threads(1) as pool,
        tqdm(total=len(refs), desc="ground", unit="sentence", mininterval=10) as progress,
    ):
        for batch in ahead(lambda part: _load(part, images), _batches(refs), pool, 1):
            rows += [_row(row, rle.empty((row.height, row.width))) for row, photo in batch if photo is None]
            read = [(row, photo) for row, photo in batch if photo is not None]
            if read:
                sentences, photos = zip(*read, strict=True)
                best = ground(photos, [row.sentence for row in sentences])
                rows += [
                    _row(row, rle.encode(mask[None])[0], score)
                    for row, (score, mask) in zip(sentences, best, strict=True)
                ]
            progress.update(len(batch))
    table = pd.DataFrame(rows, columns=["sent_id", "box_score", "rle", "height", "width"])
    table.attrs.update(provenance)
    write_frame(out, table)


def read_grounded(path: Path) -> tuple[GroundedMasks, dict[str, Any]]:
    """Masks of ``ground_sentences`` by ``sent_id``, and its provenance. Raises SscError for a damaged file."""
    table = read_frame(path, made_by="ground_sentences")
    return GroundedMasks(path, table), {str(key): value for key, value in table.attrs.items()}


class GroundedMasks:
    """Masks by ``sent_id``."""

    def __init__(self, path: Path, table: pd.DataFrame) -> None:
        self._path = path
        self._rows = {row.sent_id: row for row in table.itertuples()}

    def __call__(self, sent_id: int) -> np.ndarray:
        """bool (H, W) in photo pixels. Raises SscError for a sentence that was not asked for."""
        if sent_id not in self._rows:
            raise SscError(f"{self._path} has no sentence {sent_id}; was it made from other annotations?")
        row: Any = self._rows[sent_id]
        return rle.decode([row.rle.encode("ascii")], (row.height, row.width))[0]


def _batches(refs: pd.DataFrame) -> Iterator[list[Any]]:
    """Sentences that are asked for together."""
    batch: list[Any] = []
    for _, of_photo in groupby(refs.itertuples(), key=lambda row: row.file_name):
        while some := list(islice(of_photo, OF_A_PHOTO)):
            batch += some
            if len(batch) >= SENTENCES_A_CALL:
                yield batch
                batch = []
    if batch:
        yield batch


def _load(sentences: Sequence[Any], images: LoadOrSkip) -> list[tuple[Any, np.ndarray | None]]:
    """Sentences with their photos; a photo that several of them share is read once."""
    photos = {name: images(name) for name in dict.fromkeys(row.file_name for row in sentences)}
    return [(row, photos[row.file_name]) for row in sentences]


def _row(row: Any, code: bytes, score: float = float("nan")) -> dict[str, Any]:
    about = {"sent_id": row.sent_id, "box_score": score}
    return {**about, "rle": code.decode("ascii"), "height": row.height, "width": row.width}
