"""What Segment found and Select chose for every ref of a split, how sure that is, and why it may be worth a look
(``doubt``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.errors import SscError
from ssc_core.masks.choice import NONE
from ssc_core.masks.reader import Ids
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import refs_by_photo
from ssc_core.report.doubt import CHECKED, REASONS, bit, in_order, judge, said
from ssc_core.report.run import Run, margin
from ssc_core.report.voices import voices


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One choice: of a ref, or of a sentence where each has its own.

    asked: the class that was looked for. found: candidates. chosen: index among them, -1 none; after the last one, a
    mask that a person drew. score: of the chosen candidate, NaN without one. margin: score points between the two best
    that may be chosen, NaN where there are not two. reasons: by key of ``REASONS``, what is to be said of this choice
    beyond the name of the reason, "" for nothing. doubt: 0..1, its place in the order in which people are asked.
    """

    ref: Ref
    choice: int
    sentences: tuple[str, ...]
    asked: str
    found: int
    chosen: int
    score: float
    margin: float
    reasons: Mapping[str, str] = field(default_factory=dict)
    doubt: float = 0.0

    @property
    def why(self) -> list[str]:
        """Its reasons, for people."""
        return why(self.reasons)

    def unreadable(self) -> LabelRow:
        """The same, of a photo that cannot be read: when Segment looked, which is why nothing was found, or since."""
        others = {reason: words for reason, words in self.reasons.items() if reason != "empty"}
        return replace(self, reasons={"unreadable": "", **others})

    @property
    def turn(self) -> tuple[bool, bool, float]:
        """Sorts choices as ``doubt.in_order`` does, those of several splits too."""
        return self.found == 0, "none" not in self.reasons, -self.doubt

    @property
    def name(self) -> str:
        return f"ref {self.ref.ref_id} of {self.ref.file_name}"


NUMBERS = np.dtype(
    [
        ("image_id", "<i8"),
        ("ref_id", "<i8"),
        ("choice", "<i4"),
        ("asked", "<i4"),
        ("found", "<i4"),
        ("chosen", "<i4"),
        ("score", "<f8"),
        ("margin", "<f8"),
        ("voices", "<i4"),
        ("against", "<i4"),
        ("scorers", "<i4"),
        ("scorers_against", "<i4"),
        ("network", "<f8"),
        ("reasons", "<i4"),
        ("doubt", "<f8"),
    ]
)
"""asked: index among ``Asked.names``; reasons: ``doubt.bit`` of each; else as ``LabelRow`` and ``Voices``."""


class Labels:
    """The choices of a run: photos by first appearance in the RefTable, a photo's refs together.

    Of all of them, memory holds numbers, some 90 bytes a choice; texts are those of the photos that are read.

    numbers: ``NUMBERS`` (N,); places among them are what methods take. order: as in ``doubt.judge``. photos: to open
    those in which nothing was found, which tells whether they can be read. chosen_only: leave refs out that Select
    passed over, else these raise SscError, as files of other refs do.
    """

    def __init__(
        self, run: Run, order: str = "doubt", *, photos: PhotoReader | None = None, chosen_only: bool = False
    ) -> None:
        self.run = run
        refs = (ref for ref in run.refs() if not chosen_only or ref.ref_id in run.selected)
        self.numbers = np.fromiter((line for ref in refs for line in _numbers(run, ref)), NUMBERS)
        judge(self.numbers, order, run.selected.reviewed, self._unreadable(photos))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def to_check(self) -> np.ndarray:
        """Whether a person should look at a choice, bool (N,)."""
        return (self.numbers["reasons"] & sum(bit(reason) for reason in CHECKED)) > 0

    def has(self, reason: str) -> np.ndarray:
        """Which choices have a reason, bool (N,)."""
        return (self.numbers["reasons"] & bit(reason)) > 0

    def doubtful(self) -> np.ndarray:
        """Places of those to check, in the order in which people are asked, int64."""
        order = in_order(self.numbers)
        return order[self.to_check[order]]

    def certainty(self, ref_id: int, choice: int) -> dict[str, float | str | None]:
        """What Select says of a choice: ``score margin check``, as in ``LabelRow``, None for what is not known."""
        line = self.numbers[self._starts[self._refs.row(ref_id)] + choice]
        score, margin = (None if np.isnan(line[name]) else float(line[name]) for name in ("score", "margin"))
        return {"score": score, "margin": margin, "check": "; ".join(why(_reasons(line)))}

    def rows(self, places: np.ndarray | None = None) -> Iterator[LabelRow]:
        """All choices, or some of them in the order of ``places``; texts of few photos are in memory at once."""
        numbers = self.numbers if places is None else self.numbers[places]
        images = numbers["image_id"]
        starts = np.flatnonzero(np.diff(images, prepend=images[:1] - 1))
        ends = np.append(starts, len(numbers))[1:]
        photos = refs_by_photo(self.run.table, images[starts], self.run.split)
        for (_, members), start, end in zip(photos, starts.tolist(), ends.tolist(), strict=True):
            refs = {ref.ref_id: ref for ref in members}
            yield from (self._row(refs[line[1]], line) for line in numbers[start:end].tolist())

    def _row(self, ref: Ref, line: tuple[Any, ...]) -> LabelRow:
        own = dict(zip(NUMBERS.names or (), line, strict=True))
        choice, name = own["choice"], self.run.asked.names[own["asked"]]
        sentences = ref.sentences[self.run.sentences_of(choice)]
        plain = {key: own[key] for key in ("found", "chosen", "score", "margin", "doubt")}
        return LabelRow(ref, choice, sentences, name, reasons=_reasons(own), **plain)

    def _unreadable(self, photos: PhotoReader | None) -> frozenset[int]:
        """Ids of the photos that Segment passed over."""
        if photos is None or not photos.skip_bad:
            return frozenset()
        images, found = self.numbers["image_id"], self.numbers["found"]
        without = refs_by_photo(self.run.table, np.setdiff1d(images, images[found > 0]), self.run.split)
        return frozenset(image_id for image_id, refs in without if photos.or_none(refs[0].file_name) is None)

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.flatnonzero(self.numbers["choice"] == 0)

    @cached_property
    def _refs(self) -> Ids:
        return Ids(self.numbers["ref_id"][self._starts], "ref", self.run.table)


def _numbers(run: Run, ref: Ref) -> Iterator[tuple[Any, ...]]:
    """``NUMBERS`` of a ref's choices, without reasons and doubt."""
    if ref.ref_id not in run.selected:
        raise SscError(f"{run.selected.path} has no ref {ref.ref_id} of {ref.file_name}; is it of another split?")
    rows = run.drawn_too(ref.ref_id).rows
    decisive = run.selected.scores(ref.ref_id)
    allowed = run.may_be_chosen(ref.ref_id)
    for choice in range(run.selected.choices(ref.ref_id)):
        row = run.selected.chosen(ref.ref_id, choice)
        places = np.flatnonzero(rows == row)
        if row != NONE and not len(places):
            raise SscError(
                f"{run.selected.path}, ref {ref.ref_id}: its choice is no candidate; was it made from others?"
            )
        chosen = int(places[-1]) if row != NONE else -1
        scored = 0 <= chosen < len(allowed)
        yield (
            ref.image_id,
            ref.ref_id,
            choice,
            run.asked.number(ref.ref_id),
            len(allowed),
            chosen,
            float(decisive[choice][chosen]) if scored else float("nan"),
            margin(decisive[choice][allowed]),
            *voices(run, ref.ref_id, choice, len(allowed), chosen),
            0,
            0.0,
        )


def why(reasons: Mapping[str, str]) -> list[str]:
    """Reasons, for people."""
    return [words or REASONS[reason] for reason, words in reasons.items()]


def _reasons(line: Any) -> dict[str, str]:
    """As ``LabelRow`` has them. line: a choice's numbers by name."""
    return {reason: said(reason, line) for reason in REASONS if line["reasons"] & bit(reason)}


def asked_rows(run: Run, order: str = "doubt") -> list[LabelRow]:
    """The refs in the order in which people are asked about them, each by its most doubtful choice. Photos that cannot
    be read were passed over, where the config has it so: refs that Select does not have are left out.

    order: as in ``doubt.judge``, or "table".
    """
    by_table = order == "table"
    labels = Labels(run, "doubt" if by_table else order, chosen_only=True)
    turns = np.arange(len(labels)) if by_table else in_order(labels.numbers)
    _, first = np.unique(labels.numbers["ref_id"][turns], return_index=True)
    asked = turns[np.sort(first)]
    rows = {row.ref.ref_id: row for row in labels.rows(np.sort(asked))}
    return [rows[ref_id] for ref_id in labels.numbers["ref_id"][asked].tolist()]


def by_class(labels: Labels, places: np.ndarray) -> pd.DataFrame:
    """A line per class that was looked for: ``asked rows candidates empty none check margin``, the most rows first.

    places: of the choices that count. candidates: mean; margin: median; check: rows with a reason of ``CHECKED``.
    """
    frame = pd.DataFrame(
        {
            "asked": np.array(labels.run.asked.names, dtype=object)[labels.numbers["asked"]],
            "candidates": labels.numbers["found"],
            "empty": labels.has("empty"),
            "none": labels.has("none"),
            "check": labels.to_check,
            "margin": labels.numbers["margin"],
        }
    ).iloc[places]
    groups = frame.groupby("asked", sort=False)
    lines = groups.agg(
        rows=("asked", "size"),
        candidates=("candidates", "mean"),
        empty=("empty", "sum"),
        none=("none", "sum"),
        check=("check", "sum"),
        margin=("margin", "median"),
    )
    return lines.sort_values("rows", ascending=False, kind="stable").reset_index()
