"""What the candidates of every ref share with its ground truth: in photo pixels, and as networks are evaluated.

All of a photo's refs are measured together, as run lengths: each instance is read once, and no mask is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from tqdm import tqdm

from ssc_core.errors import SscError
from ssc_core.evaluate.metrics import Overlaps
from ssc_core.evaluate.pairs import SIDE, Truth
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.resize import taken_before
from ssc_core.masks.runs import Measure, Size, every, foreground, shared
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref

_REFS_AT_ONCE = 1000
"""Refs between reading and counting: enough that a photo's refs come together, and no more than memory is for."""


@dataclass(frozen=True, slots=True)
class Shared(Overlaps):
    """A ref's candidates against its truth, an entry for each. truth_area: pixels."""

    truth_area: int

    def of(self, index: int) -> tuple[int, int]:
        """Intersection and union of a candidate with the truth; index -1 is the empty mask."""
        if index < 0:
            return 0, self.truth_area
        return int(self.intersections[index]), int(self.unions[index])


@dataclass(frozen=True, slots=True)
class MeasuredRef:
    """A ref with ground truth.

    size: (height, width); found: int64 (K,), instance rows of the candidates; drawn: masks that people drew; areas:
    int64 (K,), photo pixels; native, at_480: what each of both shares with the truth in photo pixels and at 480 x 480.
    """

    ref_id: int
    image_id: int
    category: str
    sentences: int
    size: Size
    found: np.ndarray
    drawn: list[bytes]
    areas: np.ndarray
    native: Shared
    at_480: Shared

    @property
    def count(self) -> int:
        return len(self.found)


class RefReader:
    """Refs with ground truth, measured. without_truth: those passed over so far for having none.

    selections: whose drawn masks are measured, too.
    """

    def __init__(self, masks: MaskStore, truth: Truth, selections: Sequence[SelectionStore], *, merged: bool) -> None:
        self.without_truth = 0
        self._masks, self._truth, self._selections, self._merged = masks, truth, selections, merged

    def read(self, refs: Iterable[Ref], limit: int | None) -> Iterator[list[MeasuredRef]]:
        """Refs of a split, the first ``limit`` of them, in their order and many at a time."""
        progress = tqdm(refs, total=len(self._masks), desc="evaluate masks", unit="ref", mininterval=5)
        found = islice(self._with_truth(progress), limit)
        while some := list(islice(found, _REFS_AT_ONCE)):
            by_image: dict[int, list[tuple[Ref, bytes]]] = {}
            for ref, code in some:
                by_image.setdefault(ref.image_id, []).append((ref, code))
            measured = {one.ref_id: one for members in by_image.values() for one in self._measure(members)}
            yield [measured[ref.ref_id] for ref, _ in some]

    def _with_truth(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, bytes]]:
        """Refs with their ground truth's run lengths."""
        for ref in refs:
            truth = self._truth.code(ref.ref_id)
            if truth is None:
                self.without_truth += 1
                continue
            code, size = truth
            found = self._masks.image_size(ref.image_id)
            if size != found:
                raise SscError(
                    f"{self._masks.path}, image {ref.image_id}: the photo of ref {ref.ref_id} has {found[1]} x "
                    f"{found[0]} pixels, its ground truth {size[1]} x {size[0]}; were the masks made from other photos?"
                )
            yield ref, code

    def _measure(self, refs: Sequence[tuple[Ref, bytes]]) -> Iterator[MeasuredRef]:
        """All refs of a photo."""
        own = [self._candidates(ref.ref_id) for ref, _ in refs]
        size, codes, places = own[0].size, *_distinct(own)
        masks = foreground(codes, size, where=own[0].where)
        truths = foreground([code for _, code in refs], size, where=f"ground truth of image {refs[0][0].image_id}")
        pairs = np.concatenate(places), np.repeat(np.arange(len(refs)), [len(of) for of in places])
        splits = np.cumsum([len(of) for of in places])[:-1]
        areas = masks.areas()
        by_measure: list[list[Shared]] = []
        for measure in (every, _at_480(size)):
            of_truth, of_mask = truths.areas(measure), masks.areas(measure)
            both = shared(masks, truths, pairs, measure)
            # nearest neighbour takes whole pixels, so sizes add up after resizing as they do before
            unions = of_mask[pairs[0]] + of_truth[pairs[1]] - both
            parts = zip(np.split(both, splits), np.split(unions, splits), of_truth.tolist(), strict=True)
            by_measure.append([Shared(*part) for part in parts])
        for (ref, _), candidates, place, native, at_480 in zip(refs, own, places, *by_measure, strict=True):
            count = int((candidates.rows != DRAWN).sum())
            yield MeasuredRef(
                ref_id=ref.ref_id,
                image_id=ref.image_id,
                category=ref.category,
                sentences=len(ref.sentences),
                size=size,
                found=candidates.rows[:count],
                drawn=candidates.rles[count:],
                areas=areas[place[:count]],
                native=native,
                at_480=at_480,
            )

    def _candidates(self, ref_id: int) -> Candidates:
        """A ref's candidates, and after them the masks that people drew, each once."""
        candidates = read_candidates(self._masks, ref_id, merged=self._merged)
        for drawn in dict.fromkeys(selection.drawn(ref_id) for selection in self._selections):
            candidates = candidates.with_drawn(drawn)
        return candidates


@lru_cache(maxsize=64)
def _at_480(size: Size) -> Measure:
    return taken_before(size, (SIDE, SIDE))


def _distinct(refs: Sequence[Candidates]) -> tuple[list[bytes], list[np.ndarray]]:
    """Run lengths of all candidates of a photo, each once, and which of them are each ref's: int64 (K,)."""
    known: dict[bytes, int] = {}
    places = [np.array([known.setdefault(code, len(known)) for code in of.rles], np.int64) for of in refs]
    return list(known), places
