"""Masks that a ref may be trained on: candidates, what Select chose, or the ground truth.

Every source has ``masks(ref)``: a tuple with one bool (K, H, W) that all sentences of the ref share, or with one a
sentence. K is 0 where there is nothing to train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ssc_core.masks import rle
from ssc_core.masks.compat import is_corrupted, merge_candidates, palette_targets
from ssc_core.masks.reviews import SAME_OBJECT
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.truth import TruthStore

_NOTHING = np.zeros((0, 1, 1), dtype=bool)


class Targets(Protocol):
    """A source of masks. corrupted: refs so far whose masks ``palette_targets`` changed."""

    corrupted: int

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]: ...


class CandidateTargets:
    """All candidates of masks.h5; merged, palette: the ``compat`` switches ``merged_masks`` and ``palette_targets``.

    reviewed: selected.h5, where people decided on refs. Such a ref may be what they chose alone, or is not trained on:
    matching takes that for certain, and gives it to no other ref of the photo. A mask that they drew stands in place of
    the candidate that is the same object, for all refs of the photo; without one, of its ref's nearest, for it alone.
    """

    def __init__(
        self, path: Path, *, merged: bool = False, palette: bool = False, reviewed: Path | None = None
    ) -> None:
        self._store = MaskStore.open(path, with_masks=True)
        self._reviewed = None if reviewed is None else SelectionStore(reviewed)
        self._merged, self._palette = merged, palette
        self._image_id: int | None = None
        self._decoded: dict[int, np.ndarray] = {}
        self._drawn: dict[int, _Drawn] = {}
        self.corrupted = 0

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        masks = self._decode(ref)
        if len(masks) and self._merged and not self._palette:
            masks = merge_candidates(masks)
        masks = self._decided(ref, masks)
        if len(masks) and self._palette:  # afterwards: its targets have no places among the candidates any more
            self.corrupted += is_corrupted(masks)
            masks = palette_targets(masks)
        return (masks,)

    def _decided(self, ref: Ref, masks: np.ndarray) -> np.ndarray:
        """Of a reviewed ref, what was chosen or drawn. The others are emptied, which keeps the places of all."""
        if self._reviewed is None or ref.ref_id not in self._reviewed.reviewed:
            return masks
        if ref.ref_id in self._drawn:
            return self._drawn[ref.ref_id].among(masks)
        chosen = self._store.candidates(ref.ref_id).rows == self._reviewed.chosen(ref.ref_id)
        if not chosen.any():
            return _NOTHING
        place = np.flatnonzero(chosen)[-1]
        return masks & (np.arange(len(masks)) == place)[:, None, None]

    def _decode(self, ref: Ref) -> np.ndarray:
        """Refs of one image come one after another and share instances: each is decoded once."""
        if self._image_id != ref.image_id:
            self._image_id, self._drawn = ref.image_id, self._drawn_in(ref.image_id)
            self._decoded = {one.row: one.mask for one in self._drawn.values() if one.row is not None}
        rows = self._store.candidates(ref.ref_id).rows.tolist()
        missing = [row for row in rows if row not in self._decoded]
        self._decoded.update(zip(missing, self._store.masks(missing), strict=True))
        return np.stack([self._decoded[row] for row in rows]) if rows else _NOTHING

    def _drawn_in(self, image_id: int) -> dict[int, _Drawn]:
        """By ref of an image, the mask that a person drew for it."""
        if self._reviewed is None:
            return {}
        found: dict[int, _Drawn] = {}
        for ref_id in self._store.all_refs_of(image_id):
            drawn = self._reviewed.drawn(ref_id) if ref_id in self._reviewed.reviewed else None
            if drawn is not None:
                rows, size = self._store.candidates(ref_id).rows, self._store.image_size(image_id)
                place, iou = rle.nearest(drawn, self._store.rles(rows), size) or (0, 0.0)
                row = int(rows[place]) if iou >= SAME_OBJECT else None
                found[ref_id] = _Drawn(rle.decode([drawn], size)[0], place, row)
        return found


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A mask, bool (H, W), that a person drew for a ref; its place among the ref's candidates, 0 without any; row: in
    masks.h5, of the candidate that is the same object, if any."""

    mask: np.ndarray
    place: int
    row: int | None

    def among(self, masks: np.ndarray) -> np.ndarray:
        """bool (K, H, W): it alone, in its place."""
        alone = np.zeros((max(len(masks), self.place + 1), *self.mask.shape), dtype=bool)
        alone[self.place] = self.mask
        return alone


class SelectedTargets:
    """The chosen candidate of selected.h5; palette: the ``compat`` switch ``palette_targets``."""

    def __init__(self, path: Path, *, palette: bool = False) -> None:
        self._store = SelectionStore(path)
        self._palette = palette
        self.corrupted = 0

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        per_sentence = self._store.choice_per == "sentence"
        chosen = [self._chosen(ref, sentence) for sentence in range(len(ref.sentences) if per_sentence else 1)]
        if self._palette:
            self.corrupted += any(is_corrupted(mask) for mask in chosen if len(mask))
            chosen = [palette_targets(mask) if len(mask) else mask for mask in chosen]
        return tuple(chosen)

    def _chosen(self, ref: Ref, sentence: int) -> np.ndarray:
        if self._store.rle(ref.ref_id, sentence) is None:
            return _NOTHING
        return self._store.mask(ref.ref_id, sentence)[None]


class TruthTargets:
    """Ground truth of truth.h5: for supervised training and for validation. ``corrupted`` stays 0."""

    def __init__(self, path: Path) -> None:
        self._store = TruthStore(path)
        self.corrupted = 0

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        mask = self._store.mask(ref.ref_id)
        return (_NOTHING if mask is None else mask[None],)
