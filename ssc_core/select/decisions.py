"""People's decisions (``reviews.csv``) as choices among a ref's candidates: they stand above any score."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.choice import NONE
from ssc_core.masks.reviews import Decision, Review, read_lines
from ssc_core.masks.standing import KnownRefs, Unfit, those_of, unknown, without_candidate
from ssc_core.masks.store import MaskStore
from ssc_core.refer.images import PhotoDigests
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import read_refs, refs_by_photo


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


def read_decisions(reviews: Path, refs: Path, store: MaskStore, *, merged: bool, images: Path | None = None) -> Decided:
    """The decisions on refs of ``store`` (masks.h5). refs: refs.parquet, of all splits; merged: ``merged_masks``;
    images: folder of the photos, of which those with decisions are read, to know whether they are the same.

    Decisions that fit no ref, photo or candidate any more are in ``unfit``. Raises SscError as ``read_lines`` does.
    """
    lines = list(read_lines(reviews))
    digest = unknown if images is None else PhotoDigests(images)
    kept, unfit = those_of(lines, KnownRefs(_named(lines, refs)), digest)
    unfit = [one for one in unfit if one.review.settled]
    here = set(store.ref_ids.tolist())
    chosen: dict[int, int] = {}
    drawn: dict[int, bytes] = {}
    for ref_id, review in kept.items():
        if ref_id not in here or not review.settled:
            continue  # of another split, or put off
        chosen[ref_id] = _candidate(review, store, merged=merged)
        if review.drawn and review.rle is not None:
            drawn[ref_id] = review.rle
        elif review.decision is not Decision.none and chosen[ref_id] == NONE:
            unfit.append(without_candidate(review))
    return Decided(chosen, drawn, tuple(unfit))


def _named(lines: Sequence[Review], refs: Path) -> Iterator[Ref]:
    """The refs of the photos that reviews name, by name or by the id of a ref."""
    names = {unicodedata.normalize(form, line.photo) for line in lines for form in ("NFC", "NFD")}
    ids = {line.ref_id for line in lines}
    table = read_refs(refs, columns=("image_id", "ref_id", "file_name"))
    photos = table.loc[table["file_name"].isin(names) | table["ref_id"].isin(ids), "image_id"].unique()
    yield from (ref for _, members in refs_by_photo(refs, photos) for ref in members)


def _candidate(review: Review, store: MaskStore, *, merged: bool) -> int:
    place = review.candidate(read_candidates(store, review.ref_id, merged=merged).rles)
    return NONE if place is None else place
