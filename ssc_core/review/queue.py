"""What ``ssc review`` asks about: the refs of a split, the most doubtful first, with pictures and what was decided."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssc_core.drawing.marks import MARKS, marked, scale
from ssc_core.errors import SscError
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.reviews import Decision, Review, append_review, read_reviews, those_of
from ssc_core.refer.images import PhotoReader
from ssc_core.report.label_rows import REASONS, LabelRow, Run, label_rows

SIDE = 1200
"""Longer side of the pictures, pixels."""

AT_ONCE = len(MARKS)
"""Candidates in a picture: as many as there are keys, 1 to 9."""

FROM_PAGE = frozenset({Decision.chosen, Decision.none, Decision.skipped, Decision.undo})


def in_order(run: Run) -> list[LabelRow]:
    """A row a ref, the most doubtful first. Where nothing was found there is nothing to choose: these come last.

    Photos that cannot be read were passed over, where the config has it so: their refs are left out.
    """
    known = set(run.selected.ref_ids.tolist())
    here = replace(run, refs={ref_id: ref for ref_id, ref in run.refs.items() if ref_id in known})
    rows: dict[int, LabelRow] = {}
    for row in label_rows(here):
        rows.setdefault(row.ref.ref_id, row)
    return sorted(rows.values(), key=lambda row: (row.found == 0, row.doubt))


class Queue:
    """The refs of a split that has been selected. Safe for several threads, one at a time.

    Candidates are numbered from 1, the highest mean score first. Refs of photos that cannot be read are left out.

    photos: reads the photos; reviews: reviews.csv, which need not be there. Raises SscError for files of other refs.
    """

    def __init__(self, run: Run, photos: PhotoReader, reviews: Path) -> None:
        self._run, self._photos, self._reviews = run, photos, reviews
        self._lock = threading.RLock()
        self._rows = {row.ref.ref_id: row for row in in_order(run)}

    def list(self) -> list[dict[str, Any]]:
        """All refs in order: ``ref photo decision``, decision "" where there is none."""
        with self._lock:
            decided = self._decided()
            return [
                {
                    "ref": ref_id,
                    "photo": row.ref.file_name,
                    "decision": decided[ref_id].decision.value if ref_id in decided else "",
                }
                for ref_id, row in self._rows.items()
            ]

    def ref(self, ref_id: int) -> dict[str, Any]:
        """A ref for the page: its sentences, why it is asked about, its candidates in order, and what was decided."""
        with self._lock:
            row = self._row(ref_id)
            candidates, order = self._candidates(ref_id)
            scores = self._run.selected.scores(ref_id).mean(axis=0)
            review = self._decided().get(ref_id)
            fitting = review.candidate(candidates.rles) if review else None
            areas = self._run.scores.areas(ref_id) / (row.ref.height * row.ref.width)
            return {
                "ref": ref_id,
                "photo": row.ref.file_name,
                "sentences": row.ref.sentences,
                "asked": row.asked,
                "why": [REASONS[reason] for reason in row.reasons],
                "decision": review.decision.value if review else "",
                "who": review.who if review else "",
                "candidates": [
                    {
                        "number": number,
                        "score": round(float(scores[place]), 2),
                        "share": float(areas[place]),
                        "select": place == row.chosen,
                        "decided": place == fitting,
                        "colour": MARKS[(number - 1) % AT_ONCE],
                    }
                    for number, place in enumerate(order, start=1)
                ],
            }

    def picture(self, ref_id: int, first: int | None) -> bytes:
        """JPEG of the photo with nine candidates from the ``first`` on, numbered; with None, of the photo."""
        with self._lock:
            photo = scale(self._photos(self._row(ref_id).ref.file_name), SIDE)
            candidates, order = self._candidates(ref_id)
            shown = order[first : first + AT_ONCE] if first is not None else []
            masks = candidates.masks()[shown] if shown else np.zeros((0, *candidates.size), dtype=bool)
        into = io.BytesIO()
        Image.fromarray(marked(photo, masks) if len(masks) else photo).save(into, "JPEG", quality=88)
        return into.getvalue()

    def decide(self, ref_id: int, decision: str, number: int | None, who: str) -> None:
        """Append a decision to the file. number: of the candidate, where one was chosen.

        Raises SscError for a ref, decision or candidate that there is not.
        """
        with self._lock:
            row = self._row(ref_id)
            if decision not in {one.value for one in FROM_PAGE}:
                raise SscError(f"'{decision:.40}' is no decision of the page")
            code = None
            if decision == Decision.chosen:
                candidates, order = self._candidates(ref_id)
                if number is None or not 1 <= number <= len(order):
                    raise SscError(f"ref {ref_id} has {len(order)} candidates, not one with number {number}")
                code = candidates.rles[order[number - 1]]
            size = None if code is None else (row.ref.height, row.ref.width)
            append_review(self._reviews, Review(ref_id, row.ref.file_name, Decision(decision), size, code, who))

    def _row(self, ref_id: int) -> LabelRow:
        if ref_id not in self._rows:
            raise SscError(f"{self._run.selected.path} has no ref {ref_id}")
        return self._rows[ref_id]

    def _candidates(self, ref_id: int) -> tuple[Candidates, Sequence[int]]:
        """A ref's candidates, and their places by mean score, the highest first."""
        candidates = read_candidates(self._run.masks, ref_id, merged=self._run.scores.merged_masks)
        scores = self._run.selected.scores(ref_id).mean(axis=0)
        return candidates, np.argsort(-scores, kind="stable").tolist()

    def _decided(self) -> dict[int, Review]:
        """What counts of the file now: other tabs and people write to it too."""
        if not self._reviews.is_file():
            return {}
        photos = {ref_id: (row.ref.file_name, (row.ref.height, row.ref.width)) for ref_id, row in self._rows.items()}
        return those_of(read_reviews(self._reviews), photos)[0]
