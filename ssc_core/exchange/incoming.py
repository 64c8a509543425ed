"""Foreign masks as ours: candidates, choices, decisions and ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssc_core.errors import SscError
from ssc_core.exchange.annotations import NO_CATEGORY, LeftOut
from ssc_core.exchange.foreign import ForeignMask, Photo, PhotoNames
from ssc_core.exchange.formats import FORMATS
from ssc_core.exchange.origin import IMPORT
from ssc_core.locks import only_process
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.standing import KnownRefs, those_of, unknown
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import photos_of as ids_of_photos
from ssc_core.refer.ref_table import read_refs, refs_by_photo
from ssc_core.refer.refs_digest import digest_of
from ssc_core.refer.truth import TruthMask, TruthStore, write_truth
from ssc_core.wording import counted

Found = Mapping[int, Sequence[ForeignMask]]
"""Foreign masks by image id."""


def photos_of(table: Path, split: str) -> tuple[list[Photo], list[str]]:
    """The photos of a RefTable's split, and the names of its other photos."""
    ids = ids_of_photos(table, split)
    names = read_refs(table, columns=("image_id", "file_name"))
    others = names.loc[~names["image_id"].isin(ids), "file_name"].unique().tolist()
    return [_photo(image_id, refs, split) for image_id, refs in refs_by_photo(table, ids)], others


def _photo(image_id: int, refs: Sequence[Ref], split: str) -> Photo:
    own, others = (tuple(ref for ref in refs if (ref.split == split) == here) for here in (True, False))
    return Photo(image_id, own[0].file_name, (own[0].height, own[0].width), own, others)


def collect(
    name: str,
    path: Path,
    photos: Sequence[Photo],
    passed_over: LeftOut,
    *,
    per_ref: bool,
    others: Iterable[str] = (),
) -> Found:
    """The masks of a file or folder in the format ``name``. What cannot be used is noted in ``passed_over``.

    per_ref: whether one mask for each ref is meant, and not all its candidates. others: names of the dataset's photos
    that are of other splits. Raises SscError for a file that is damaged or does not fit the photos, and for one without
    a mask of theirs.
    """
    found: dict[int, list[ForeignMask]] = {}
    known, names = _known_refs(photos), PhotoNames(photos, others)
    for photo, masks in FORMATS[name].read(path, names, passed_over, per_ref=per_ref):
        found.setdefault(photo.image_id, []).extend(_of_known_refs(photo, masks, known, passed_over))
    if not any(found.values()):
        lines = "".join(f"\n  {line}" for line in passed_over.lines())
        raise SscError(f"{path} has no mask for {counted(len(photos), 'photo')} of the split{lines}")
    return found


def _of_known_refs(
    photo: Photo, masks: Sequence[ForeignMask], known: KnownRefs, passed_over: LeftOut
) -> Iterator[ForeignMask]:
    """Masks with those of their refs that the split has, under their ids of today where rows of the table moved.

    What a mask of several refs says is of all of them together, and tells none of them apart.
    """
    for one in masks:
        said = one.sentences if len(one.ref_ids) == 1 else ()
        found = [known.find(ref_id, photo.file_name, said) for ref_id in one.ref_ids]
        refs = tuple(dict.fromkeys(ref.ref_id for ref in found if ref in photo.refs))
        if one.ref_ids and not refs:
            passed_over.add("masks of refs, or of sentences, that their photo does not have", one.name)
        else:
            yield replace(one, ref_ids=refs)


def one_per_ref(
    photos: Sequence[Photo], found: Found, passed_over: LeftOut
) -> Iterator[tuple[Photo, Ref, ForeignMask]]:
    """The mask of every ref that has one, or equal ones, as sentences with a choice each may have. One that names no
    ref is of its photo's only ref, if it is the only mask."""
    for photo in photos:
        masks = found.get(photo.image_id, ())
        if len(photo.refs) == 1 == len(masks) and not masks[0].ref_ids:
            masks = [replace(masks[0], ref_ids=(photo.refs[0].ref_id,))]
        for one in masks:
            if not one.ref_ids:
                passed_over.add("masks that do not say which ref they are of", one.name)
        for ref in photo.refs:
            own = [one for one in masks if ref.ref_id in one.ref_ids]
            if len({one.rle for one in own}) == 1:
                yield photo, ref, own[0]
            elif own:
                why = "refs with several masks, of which one for all their sentences is meant"
                passed_over.add(why, f"{_name(ref)} ({len(own)} masks)")


def write_candidates(photos: Sequence[Photo], found: Found, out: Path, passed_over: LeftOut, *, source: str) -> int:
    """Write ``out`` (masks.h5); how many masks it has.

    A mask that names no ref is a candidate of all refs of its photo. Equal masks of a photo become one instance, of
    the first one's class, since matching gives an instance to one ref alone. Boxes surround the masks; scores that
    are not known are 1.
    """
    with_masks = {photo.image_id: _distinct(photo, found.get(photo.image_id, ()), passed_over) for photo in photos}
    names = {one.category for instances in with_masks.values() for one in instances.values()}
    class_names = tuple(sorted(names)) or (NO_CATEGORY,)
    with MaskStoreWriter(out, _info(class_names, source, photos), with_masks=True) as writer:
        for photo in photos:
            instances = with_masks[photo.image_id]
            codes, scores = (
                list(instances),
                np.array([1.0 if one.score is None else one.score for one in instances.values()]),
            )
            places = {code: place for place, code in enumerate(codes)}
            own = {ref.ref_id: _candidates(ref, found.get(photo.image_id, ())) for ref in photo.refs}
            candidates = {ref_id: [places[code] for code in mine if code in places] for ref_id, mine in own.items()}
            for ref in photo.refs:
                if not candidates[ref.ref_id]:
                    passed_over.add("refs without a candidate", _name(ref))
            writer.append_image(
                photo.image_id,
                photo.size,
                boxes_xyxy=_corners(rle.boxes(codes, photo.size)),
                box_scores=scores,
                labels=np.array([class_names.index(one.category) for one in instances.values()], np.int64),
                rles=codes,
                mask_scores=np.ones(len(codes)),
                candidates=candidates,
            )
    return sum(map(len, with_masks.values()))


def write_selection(
    photos: Sequence[Photo], found: Found, masks: MaskStore, out: Path, passed_over: LeftOut, *, source: str
) -> int:
    """Write ``out`` (selected.h5); how many refs have a choice. masks: the candidates that were chosen from.

    The chosen row is the candidate with the highest IoU (of equal ones the last), and the mask is the foreign one. A
    mask that is empty or meets no candidate is no choice. Scores are these IoUs.
    """
    own = {ref.ref_id: one for _, ref, one in one_per_ref(photos, found, passed_over)}
    count = 0
    with SelectionWriter(out, _info(masks.info.class_names, source, photos)) as writer:
        for photo, ref in _all_refs(photos):
            candidates = masks.candidates(ref.ref_id)
            code = own[ref.ref_id].rle if ref.ref_id in own else rle.empty(photo.size)
            ious = rle.ious([code], masks.rles(candidates.rows), photo.size).reshape(1, len(candidates))
            chosen = -1
            if ious.max(initial=0) > 0:
                chosen = int(candidates.rows[np.flatnonzero(ious[0] == ious.max())[-1]])
            else:
                passed_over.add("refs without a choice", _name(ref))
            count += chosen >= 0
            writer.append_ref(
                ref.ref_id,
                image_id=photo.image_id,
                size=photo.size,
                chosen=[chosen],
                scores=ious,
                rles=[None if chosen < 0 else code],
            )
    return count


def add_decisions(
    photos: Sequence[Photo],
    found: Found,
    masks: MaskStore | None,
    reviews: Path,
    passed_over: LeftOut,
    *,
    who: str,
    digest: Callable[[str], str] = unknown,
) -> int:
    """Append a line to ``reviews`` for every ref with a mask whose review is another so far; how many lines.

    A mask that a candidate equals is ``chosen``, an empty one ``none``, any other ``uploaded``. digest: as of
    ``those_of``.
    """
    known, _ = those_of(read_lines(reviews) if reviews.exists() else (), _known_refs(photos), digest)
    count = 0
    for photo, ref, one in one_per_ref(photos, found, passed_over):
        decision = Decision.uploaded
        if not rle.areas([one.rle], photo.size)[0]:
            decision = Decision.none
        elif masks is not None and one.rle in masks.rles(masks.candidates(ref.ref_id).rows):
            decision = Decision.chosen
        with_mask = decision is not Decision.none
        review = Review(
            ref.ref_id,
            photo.file_name,
            decision,
            photo.size if with_mask else None,
            one.rle if with_mask else None,
            who,
            sentences=ref.sentences,
            digest=digest(photo.file_name),
        )
        before = known.get(ref.ref_id)
        if before is None or (before.decision, before.rle) != (review.decision, review.rle):
            append_review(reviews, review)
            count += 1
    return count


def add_truth(photos: Sequence[Photo], found: Found, truth: Path, passed_over: LeftOut) -> int:
    """Add the masks to ``truth`` (truth.h5), which is there or not; how many refs got one. One process at a time.

    Raises SscError for a ref that has ground truth already, and another one.
    """
    with only_process(truth.with_name(f"{truth.name}.adding"), wait=True):
        masks = list(_truth_masks(truth)) if truth.exists() else []
        known = {one.ref_id: one for one in masks}
        before = len(masks)
        for photo, ref, one in one_per_ref(photos, found, passed_over):
            if not rle.areas([one.rle], photo.size)[0]:
                passed_over.add("masks without a pixel", one.name)
            elif ref.ref_id not in known:
                masks.append(TruthMask(ref.ref_id, *photo.size, one.rle))
            elif known[ref.ref_id].rle != one.rle:
                raise SscError(
                    f"{_name(ref)} has another ground truth already; which one is meant? Nothing was changed"
                )
        if len(masks) > before:
            write_truth(truth, masks)
    return len(masks) - before


def _truth_masks(path: Path) -> Iterator[TruthMask]:
    store = TruthStore(path)
    for ref_id in store.ref_ids:
        mask = store.mask(ref_id)
        assert mask is not None
        yield TruthMask(ref_id, mask.shape[0], mask.shape[1], rle.encode(mask[None])[0])


def _distinct(photo: Photo, masks: Sequence[ForeignMask], passed_over: LeftOut) -> dict[bytes, ForeignMask]:
    """The first of every different mask of a photo, by its run lengths; none that is empty."""
    found: dict[bytes, ForeignMask] = {}
    for one, area in zip(masks, rle.areas([one.rle for one in masks], photo.size).tolist(), strict=True):
        if area:
            found.setdefault(one.rle, replace(one, category=one.category or NO_CATEGORY))
        else:
            passed_over.add("masks without a pixel", one.name)
    return found


def _candidates(ref: Ref, masks: Sequence[ForeignMask]) -> list[bytes]:
    """Run lengths of the masks that may be a ref's, in their order."""
    return list(dict.fromkeys(one.rle for one in masks if not one.ref_ids or ref.ref_id in one.ref_ids))


def _known_refs(photos: Sequence[Photo]) -> KnownRefs:
    """Those of all splits: else what is said of another split's ref would be of one here that says the same."""
    return KnownRefs(ref for photo in photos for ref in (*photo.refs, *photo.others))


def _all_refs(photos: Sequence[Photo]) -> Iterator[tuple[Photo, Ref]]:
    for photo in photos:
        yield from ((photo, ref) for ref in photo.refs)


def _name(ref: Ref) -> str:
    return f"ref {ref.ref_id} of {ref.file_name}"


def _corners(boxes_xywh: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def _info(class_names: tuple[str, ...], source: str, photos: Sequence[Photo]) -> StoreInfo:
    refs = digest_of(ref for _, ref in _all_refs(photos))
    return StoreInfo(class_names, {"imported": source}, IMPORT, models={}, refs=refs)
