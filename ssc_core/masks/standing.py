"""Which reviews count, and of which refs: rows of a table may have moved since somebody decided."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ssc_core.masks.reviews import Review, noted, that_count


class ReviewedRef(Protocol):
    """A ref as it is now, such as ``refer.ref.Ref``."""

    @property
    def ref_id(self) -> int: ...
    @property
    def file_name(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def sentences(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Unfit:
    """A decision that fits no ref, photo or candidate any more: why, and what a person can do."""

    review: Review
    why: str
    todo: str

    def __str__(self) -> str:
        return f"ref {self.review.ref_id} of {self.review.photo}: {self.why}"


def without_candidate(review: Review) -> Unfit:
    """A decision whose object no candidate is."""
    return Unfit(
        review, f"no candidate is the object that was {review.decision}", "choose again, or draw it (D) in `ssc review`"
    )


class KnownRefs:
    """The refs that there are now, among which those of reviews are found."""

    def __init__(self, refs: Iterable[ReviewedRef]) -> None:
        self._refs = {ref.ref_id: ref for ref in refs}
        self._texts = {ref_id: frozenset(noted(ref.sentences)) for ref_id, ref in self._refs.items()}
        self._photos = {_composed(ref.file_name) for ref in self._refs.values()}
        self._saying: dict[tuple[str, str], list[int]] = {}
        for ref_id, ref in self._refs.items():
            for text in self._texts[ref_id]:
                self._saying.setdefault((_composed(ref.file_name), text), []).append(ref_id)

    def get(self, ref_id: int) -> ReviewedRef | None:
        return self._refs.get(ref_id)

    def name(self, photo: str) -> bool:
        """Whether one of them is of a photo, whichever computer spelled it."""
        return _composed(photo) in self._photos

    def find(self, ref_id: int, photo: str, sentences: Iterable[str]) -> ReviewedRef | None:
        """The ref of a photo that says most of the sentences; None where none says any, or where it is in doubt which.

        Of several, it is the only one that says nothing else, or the one with this id. Without sentences, id and photo
        say which: it goes unnoticed then that rows of one photo moved.
        """
        photo, said = _composed(photo), frozenset(noted(sentences))
        if not said:
            ref = self.get(ref_id)
            return ref if ref is not None and _composed(ref.file_name) == photo else None
        shared = Counter(one for text in said for one in self._saying.get((photo, text), ()))
        most = [one for one, count in shared.items() if count == max(shared.values())]
        same = [one for one in most if self._texts[one] == said] or most
        if ref_id in same:
            return self._refs[ref_id]
        return self._refs[same[0]] if len(same) == 1 and ref_id not in most else None


def same_photo(review: Review, ref: ReviewedRef) -> bool:
    """Whether a review names a ref's photo, whichever computer spelled it."""
    return _composed(review.photo) == _composed(ref.file_name)


def _composed(name: str) -> str:
    """A photo's name as names are compared: macOS writes ö as o and two dots."""
    return unicodedata.normalize("NFC", name)


def unknown(photo: str) -> str:
    """The digest of a photo where nobody knows where photos lie."""
    return ""


def those_of(
    lines: Iterable[Review], refs: KnownRefs, digest: Callable[[str], str] = unknown
) -> tuple[dict[int, Review], list[Unfit]]:
    """The reviews that count of the refs that there are, by id, and those of no ref. lines: ``read_lines``; digest: of
    the photo that has a name now (``refer.images.PhotoDigests``), "" where it is not known."""
    here: list[Review] = []
    lost: dict[tuple[int, str, Sequence[str]], list[Review]] = {}
    for line in lines:
        ref = refs.find(line.ref_id, line.photo, line.sentences)
        if ref is not None:
            here.append(line if line.ref_id == ref.ref_id else replace(line, ref_id=ref.ref_id))
        else:
            lost.setdefault((line.ref_id, line.photo, noted(line.sentences)), []).append(line)
    others = [_unfit(one, refs) for made in lost.values() for one in that_count(made).values()]
    kept: dict[int, Review] = {}
    for ref_id, review in that_count(here).items():
        ref = refs.get(ref_id)
        if ref is None or review.size not in (None, (ref.height, ref.width)):
            others.append(Unfit(review, "the photo had another size", "decide it again in `ssc review`"))
        elif review.digest and digest(ref.file_name) not in ("", review.digest):
            others.append(Unfit(review, "the photo was replaced since", "decide it again in `ssc review`"))
        else:
            kept[ref_id] = review
    return kept, others


def _unfit(review: Review, refs: KnownRefs) -> Unfit:
    if not refs.name(review.photo):
        todo = "give the photo this name again, or decide its row again in `ssc review`"
        return Unfit(review, f"no row names {review.photo} any more", todo)
    ref = refs.get(review.ref_id)
    if ref is None:
        return Unfit(review, "there is no such ref", "nothing, unless its row has another place now")
    why = f"the ref is of {ref.file_name} now"
    if same_photo(review, ref):
        why = f"the ref says “{' | '.join(ref.sentences):.200}” now"
    todo = "the table's rows have moved: decide this ref, and the one that was meant, in `ssc review`"
    return Unfit(review, why, todo)
