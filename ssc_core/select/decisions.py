"""People's decisions (``reviews.csv``) as choices among a ref's candidates: they stand above any score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.choice import NONE
from ssc_core.masks.reviews import Decision, Review, Unfit, read_reviews, those_of, without_candidate
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import read_refs


@dataclass(frozen=True, slots=True)
class Decided:
    """chosen: ref -> index among its candidates, ``NONE`` for none; drawn: ref -> mask that a person drew or uploaded,
    COCO compressed RLE; unfit: decisions that could not be used.

    A mask that a person chose stands for the candidate that is the same object (``Review.candidate``). Where no
    candidate is, the ref gets none: what Select would choose is known to be wrong. A drawn mask is the ref's mask as it
    is; the candidate that is the same object, if any, is in ``chosen`` and no other ref's.
    """

    chosen: Mapping[int, int]
    drawn: Mapping[int, bytes] = field(default_factory=dict)
    unfit: tuple[Unfit, ...] = ()


def read_decisions(reviews: Path, refs: Path, store: MaskStore, *, merged: bool) -> Decided:
    """The decisions on refs of ``store`` (masks.h5). refs: refs.parquet, of all splits; merged: ``merged_masks``.

    Decisions that fit no ref, photo or candidate any more are in ``unfit``. Raises SscError as ``read_reviews`` does.
    """
    settled = {ref_id: review for ref_id, review in read_reviews(reviews).items() if review.settled}
    table = read_refs(refs, columns=("ref_id", "file_name", "height", "width")).drop_duplicates("ref_id")
    ids, names, heights, widths = (table[column].tolist() for column in table)
    photos = dict(zip(ids, zip(names, zip(heights, widths, strict=True), strict=True), strict=True))
    kept, unfit = those_of(settled, photos)
    here = {ref_id for image_id in store.image_ids.tolist() for ref_id in store.all_refs_of(image_id)}
    chosen: dict[int, int] = {}
    drawn: dict[int, bytes] = {}
    for ref_id, review in kept.items():
        if ref_id not in here:
            continue  # of another split
        chosen[ref_id] = _candidate(review, store, merged=merged)
        if review.drawn and review.rle is not None:
            drawn[ref_id] = review.rle
        elif review.decision is not Decision.none and chosen[ref_id] == NONE:
            unfit.append(without_candidate(review))
    return Decided(chosen, drawn, tuple(unfit))


def _candidate(review: Review, store: MaskStore, *, merged: bool) -> int:
    place = review.candidate(read_candidates(store, review.ref_id, merged=merged).rles)
    return NONE if place is None else place
