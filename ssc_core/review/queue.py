"""What ``ssc review`` asks about: the refs of a split, the most doubtful first, with pictures and what was decided."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssc_core.drawing.marks import MARKS, marked, outline, scale, soften
from ssc_core.drawing.style import Colour
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.reviews import Decision, Review, append_review, read_lines, that_count
from ssc_core.masks.standing import KnownRefs, same_photo, those_of
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import refs_by_photo
from ssc_core.report.label_rows import LabelRow, asked_rows
from ssc_core.report.overlay import overlay
from ssc_core.report.run import Run
from ssc_core.review.masks import BoxMasks, Draft, Drafts, LoadSegmenter, read_upload
from ssc_core.wording import counted

SIDE = 1200
"""Longer side of the pictures, pixels."""

AT_ONCE = len(MARKS)
"""Candidates in a picture: as many as there are keys, 1 to 9."""

OWN: Colour = (255, 255, 255)
"""Of the outline of a mask that a person made."""

WITHOUT_MASK = frozenset({Decision.none, Decision.skipped, Decision.undo})


class Overtaken(SscError):
    """A decision that was to be taken back is not the last one of its ref any more."""


def no_segmenter() -> Any:
    raise SscError("There is no segmenter here; upload a mask (U).")


class Queue:
    """The refs of a split that has been selected. Safe for several threads.

    Candidates are numbered from 1, the highest mean score first.

    photos: reads the photos; reviews: reviews.csv, which need not be there; order: see ``asked_rows``; load: makes what
    turns boxes into masks. Raises SscError for files of other refs.
    """

    def __init__(
        self,
        run: Run,
        photos: PhotoReader,
        reviews: Path,
        order: str = "doubt",
        load: LoadSegmenter = no_segmenter,
    ) -> None:
        self._run, self._photos, self._reviews = run, photos, reviews
        self._lock, self._drafts, self._of_box = threading.RLock(), Drafts(), BoxMasks(load)
        self._known: dict[bytes, Review] = {}
        self._rows = {row.ref.ref_id: row for row in asked_rows(run, order)}
        # those of all splits, as for Select: a decision on another split's ref is none on one here that says the same
        photos_here = np.unique([row.ref.image_id for row in self._rows.values()])
        self._refs = KnownRefs(ref for _, refs in refs_by_photo(run.table, photos_here) for ref in refs)

    def list(self) -> list[dict[str, Any]]:
        """All refs in order: ``ref photo decision fits``, decision "" where there is none."""
        with self._lock:
            decided = self._standing(self._lines())
            return [
                {"ref": ref_id, "photo": row.ref.file_name, **self._decision(decided.get(ref_id))}
                for ref_id, row in self._rows.items()
            ]

    def ref(self, ref_id: int) -> dict[str, Any]:
        """A ref for the page: its sentences, why it is asked about, its candidates in order, and what was decided;
        ``shared``: whether the decision is of sentences that have a choice each."""
        with self._lock:
            row = self._row(ref_id)
            candidates, order = self._candidates(ref_id)
            scores = self._run.selected.scores(ref_id).mean(axis=0)
            lines = self._lines_of(row.ref)
            review = self._standing(lines).get(ref_id)
            fitting = review.candidate(candidates.rles) if review and not review.drawn else None
            areas = self._run.scores.areas(ref_id) / (row.ref.height * row.ref.width)
            boxes = candidates.boxes_xyxy.round().astype(int).tolist()
            return {
                "ref": ref_id,
                "photo": row.ref.file_name,
                "size": [row.ref.width, row.ref.height],
                "sentences": row.ref.sentences,
                "shared": self._run.per_sentence and len(row.ref.sentences) > 1,
                "asked": row.asked,
                "why": self._readable(row).why,
                **self._decision(review),
                "who": review.who if review else "",
                "turn": self._turn(lines, ref_id),
                "candidates": [
                    {
                        "number": number,
                        "score": round(float(scores[place]), 2),
                        "share": float(areas[place]),
                        "box": boxes[place],
                        "select": place == row.chosen,
                        "decided": place == fitting,
                        "colour": MARKS[(number - 1) % AT_ONCE],
                    }
                    for number, place in enumerate(order, start=1)
                ],
            }

    def picture(self, ref_id: int, first: int | None) -> bytes:
        """JPEG of the photo with nine candidates from the ``first`` on, numbered, and what a person drew; with None, of
        the photo."""
        with self._lock:
            photo = scale(self._photo(ref_id), SIDE)
            if first is None:
                return _jpeg(photo)
            candidates, order = self._candidates(ref_id)
            shown = order[first : first + AT_ONCE]
            masks = candidates.each()[np.array(shown, dtype=np.int64)]
            review = self._standing(self._lines_of(self._row(ref_id).ref)).get(ref_id)
            own = review.mask() if review is not None and review.drawn else None
        picture = marked(photo, masks) if len(masks) else photo
        return _jpeg(picture if own is None else outline(picture, soften(own, picture.shape[:2]), OWN))

    def decide(
        self,
        ref_id: int,
        decision: str,
        number: int | None,
        who: str,
        draft: int | None = None,
        turn: int | None = None,
    ) -> None:
        """Append a decision to the file. number: of the candidate, where one was chosen; draft: of the mask, where one
        was drawn or uploaded; turn: that of the decision that an undo is to take back, as ``ref`` had it.

        Raises SscError for a ref, decision, candidate or draft that there is not, Overtaken where another decision came
        after the one to be taken back.
        """
        with self._lock:
            row = self._row(ref_id)
            if decision == Decision.undo and turn not in (None, self._turn(self._lines_of(row.ref), ref_id)):
                raise Overtaken(
                    f"Ref {ref_id} was decided again since, elsewhere: Z takes back what was decided here alone. If it "
                    "is wrong, decide it anew."
                )
            review = self._review(row, decision, number, draft, who)
            append_review(self._reviews, replace(review, digest=self._photos.digest(row.ref.file_name)))

    def draw(self, ref_id: int, box: Sequence[float]) -> dict[str, Any]:
        """Draft the segmenter's mask of a box: left, top, right, bottom in the photo's pixels."""
        with self._lock:
            photo = self._photo(ref_id)
        return self._draft(ref_id, Decision.drawn, self._of_box(photo, box))

    def upload(self, ref_id: int, content: bytes) -> dict[str, Any]:
        """Draft the mask of a PNG."""
        with self._lock:
            ref = self._row(ref_id).ref
        return self._draft(ref_id, Decision.uploaded, read_upload(content, (ref.height, ref.width)))

    def draft_picture(self, number: int) -> bytes:
        """JPEG of the photo with a draft."""
        draft = self._drafts.get(number)
        with self._lock:
            photo = self._photo(draft.ref.ref_id)
        return _jpeg(overlay(photo, rle.decode([draft.rle], draft.size)[0], colour=OWN, side=SIDE))

    def _draft(self, ref_id: int, decision: Decision, mask: bytes) -> dict[str, Any]:
        draft = Draft(self._row(ref_id).ref, decision, mask)
        number = self._drafts.add(draft)
        share = float(rle.areas([mask], draft.size)[0]) / (draft.size[0] * draft.size[1])
        return {"ref": ref_id, "draft": number, "decision": decision.value, "share": share}

    def _review(self, row: LabelRow, decision: str, number: int | None, draft: int | None, who: str) -> Review:
        ref = row.ref
        if draft is not None:
            found = self._drafts.get(draft)
            if found.ref.ref_id != ref.ref_id or found.decision != decision:
                raise SscError("That mask was made for something else; draw or upload it again.")
            return found.review(who)
        if decision == Decision.chosen:
            candidates, order = self._candidates(ref.ref_id)
            if number is None or not 1 <= number <= len(order):
                raise SscError(f"ref {ref.ref_id} has {counted(len(order), 'candidate')}, not one with number {number}")
            code = candidates.rles[order[number - 1]]
            size = ref.height, ref.width
            return Review(ref.ref_id, ref.file_name, Decision.chosen, size, code, who, sentences=ref.sentences)
        if decision not in {one.value for one in WITHOUT_MASK}:
            raise SscError(f"'{decision:.40}' is no decision of the page, or lacks its mask")
        return Review(ref.ref_id, ref.file_name, Decision(decision), who=who, sentences=ref.sentences)

    def _row(self, ref_id: int) -> LabelRow:
        if ref_id not in self._rows:
            raise SscError(f"{self._run.selected.path} has no ref {ref_id}")
        return self._rows[ref_id]

    def _readable(self, row: LabelRow) -> LabelRow:
        """The row, or what is to be said where nothing was found since its photo cannot be read. Asked of the one that
        is shown: to open all photos without a find takes minutes."""
        skips = "empty" in row.reasons and self._photos.skip_bad
        return row.unreadable() if skips and self._photos.or_none(row.ref.file_name) is None else row

    def _photo(self, ref_id: int) -> np.ndarray:
        return self._photos(self._row(ref_id).ref.file_name)

    def _candidates(self, ref_id: int) -> tuple[Candidates, Sequence[int]]:
        """A ref's candidates, and their places by mean score, the highest first."""
        candidates = read_candidates(self._run.masks, ref_id, merged=self._run.scores.merged_masks)
        scores = self._run.selected.scores(ref_id).mean(axis=0)
        return candidates, np.argsort(-scores, kind="stable").tolist()

    def _lines(self) -> Iterator[Review]:
        """What the file has now: other tabs and people write to it too."""
        return read_lines(self._reviews, self._known) if self._reviews.is_file() else iter(())

    def _lines_of(self, ref: Ref) -> Sequence[Review]:
        """The lines about a ref's photo: no others can be of the ref, and a key is not to wait for all of them."""
        return [line for line in self._lines() if same_photo(line, ref)]

    def _standing(self, lines: Iterable[Review]) -> dict[int, Review]:
        """The reviews that count, by ref."""
        return those_of(lines, self._refs, self._photos.digest)[0]

    def _turn(self, lines: Sequence[Review], ref_id: int) -> int:
        """Which of a ref's lines counts: its place from 1, 0 for none. It tells that decision from all later ones."""
        found = ((line, self._refs.find(line.ref_id, line.photo, line.sentences)) for line in lines)
        own = [replace(line, ref_id=ref_id) for line, ref in found if ref is not None and ref.ref_id == ref_id]
        standing = that_count(own).get(ref_id)
        return next((place for place, line in enumerate(own, start=1) if line is standing), 0)

    def _decision(self, review: Review | None) -> dict[str, Any]:
        """What the page is told of it; ``fits``: whether a candidate is the object that was chosen."""
        if review is None or review.decision is not Decision.chosen:
            return {"decision": review.decision.value if review else "", "fits": True}
        candidates, _ = self._candidates(review.ref_id)
        return {"decision": review.decision.value, "fits": review.candidate(candidates.rles) is not None}


def _jpeg(picture: np.ndarray) -> bytes:
    into = io.BytesIO()
    Image.fromarray(picture).save(into, "JPEG", quality=88)
    return into.getvalue()
