"""A ref's candidates as Select, its evaluation and pictures of both see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.compat import merge_candidates
from ssc_core.masks.store import MaskStore

PIXELS_AT_ONCE = 64 * 640 * 480
"""Of masks that are worked on together where each stands for itself, at least one mask: 20 MB, 80 MB in float32."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """K candidates in an image of ``size`` (height, width).

    rows: int64 (K,), the instances that they are; boxes_xyxy: float32 (K, 4), pixels; rles: K COCO compressed RLEs;
    where: what messages about damaged ones name.
    """

    size: tuple[int, int]
    rows: np.ndarray
    boxes_xyxy: np.ndarray
    rles: list[bytes]
    where: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def masks(self) -> np.ndarray:
        """bool (K, H, W)."""
        return rle.decode(self.rles, self.size, where=self.where)

    def each(self) -> Masks:
        """The same, decoded as they are asked for."""
        return Masks(self.rles, self.size, self.where)

    def merged(self) -> Candidates:
        """What is left of them in one picture, as published: see ``compat.merge_candidates``.

        Candidates of which nothing is left are not in the picture, so they are none.
        """
        if not len(self):
            return self
        masks = merge_candidates(self.masks())
        seen = masks.any(axis=(1, 2))
        return replace(self, rows=self.rows[seen], boxes_xyxy=self.boxes_xyxy[seen], rles=rle.encode(masks[seen]))

    def with_drawn(self, drawn: bytes | None) -> Candidates:
        """With a mask that a person drew as the last one, its row being ``DRAWN``; None: as they are."""
        if drawn is None:
            return self
        x, y, width, height = rle.boxes([drawn], self.size)[0]
        box = np.array([[x, y, x + width, y + height]], self.boxes_xyxy.dtype)
        return replace(
            self,
            rows=np.append(self.rows, DRAWN),
            boxes_xyxy=np.concatenate([self.boxes_xyxy, box]),
            rles=[*self.rles, drawn],
        )


def read_candidates(store: MaskStore, ref_id: int, *, merged: bool) -> Candidates:
    """A ref's candidates in masks.h5, in its order; merged: the ``compat`` switch ``merged_masks``."""
    found, image_id = store.candidates(ref_id), store.image_of(ref_id)
    where = f"{store.path}, image {image_id}"
    codes = store.rles(found.rows)
    candidates = Candidates(store.image_size(image_id), found.rows, found.boxes_xyxy, codes, where)
    return candidates.merged() if merged else candidates


class Masks:
    """N masks of one image, each bool (H, W), decoded when they are asked for: many of a large photo are gigabytes.

    ``masks[places]`` are several of them, bool (K, H, W).
    """

    def __init__(self, rles: Sequence[bytes], size: tuple[int, int], where: str = "") -> None:
        self._rles, self._size, self._where = rles, size, where

    def __len__(self) -> int:
        return len(self._rles)

    def __getitem__(self, places: Any) -> np.ndarray:
        return self._decoded(np.arange(len(self))[places])

    def __iter__(self) -> Iterator[np.ndarray]:
        at_once = max(1, PIXELS_AT_ONCE // (self._size[0] * self._size[1]))
        for start in range(0, len(self), at_once):
            yield from self._decoded(np.arange(start, min(start + at_once, len(self))))

    def areas(self) -> np.ndarray:
        """Pixels of each, int64 (N,)."""
        return rle.areas(self._rles, self._size, where=self._where)

    def _decoded(self, places: np.ndarray) -> np.ndarray:
        found = rle.decode([self._rles[place] for place in np.atleast_1d(places)], self._size, where=self._where)
        return found if places.ndim else found[0]


def distinct_masks(refs: Sequence[Candidates]) -> tuple[Masks, list[np.ndarray]]:
    """The masks that the refs of one image, at least one, have as candidates, each once, in the order of the instances;
    and for each ref which of them are its own, int64 (K,)."""
    pairs = [list(zip(of.rows.tolist(), of.rles, strict=True)) for of in refs]
    distinct = sorted({pair for of in pairs for pair in of})
    place = {pair: index for index, pair in enumerate(distinct)}
    masks = replace(refs[0], rles=[code for _, code in distinct]).each()
    return masks, [np.array([place[pair] for pair in of], dtype=np.int64) for of in pairs]
