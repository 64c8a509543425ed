"""What Segment found and Select chose for every ref of a split, how sure that is, and why it may be worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ssc_core.errors import SscError
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.choice import NONE
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import read_refs, refs_by_image
from ssc_core.select.ensemble import WeightedScores, weights_of
from ssc_core.tables import read_frame

REASONS = {
    "empty": "Nothing found",
    "none": "Nothing chosen",
    "doubt": "Two candidates score alike",
    "disagree": "Its sentences disagree",
    "alone": "One candidate, nothing to choose from",
}
"""Why a ref is worth a look, the most urgent first."""

CHECKED = ("empty", "none", "doubt", "disagree")
"""Those that a person should look at; a single candidate may well be right."""

DOUBTFUL = 0.1
"""Share of a split's margins, from the smallest, that are doubtful: what a margin is worth depends on the scorer."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One choice: of a ref, or of a sentence where each has its own.

    asked: the class that was looked for. found: candidates. chosen: index among them, -1 none; after the last one, a
    mask that a person drew. score: of the chosen candidate, NaN without one. margin: score points between the two best
    that may be chosen, NaN where there are not two. against: sentences of the ref that would take another candidate.
    reasons: keys of ``REASONS``.
    """

    ref: Ref
    choice: int
    sentences: tuple[str, ...]
    asked: str
    found: int
    chosen: int
    score: float
    margin: float
    against: int
    reasons: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        """Ref and choice."""
        return self.ref.ref_id, self.choice

    @property
    def to_check(self) -> bool:
        return any(reason in CHECKED for reason in self.reasons)

    @property
    def why(self) -> str:
        """Its reasons, for people; empty without one."""
        return "; ".join(REASONS[reason] for reason in self.reasons)

    @property
    def name(self) -> str:
        return f"ref {self.ref.ref_id} of {self.ref.file_name}"

    @property
    def doubt(self) -> tuple[int, float]:
        """Sorts the most doubtful first: by the most urgent reason, then by the margin."""
        urgent = next((place for place, reason in enumerate(REASONS) if reason in self.reasons), len(REASONS))
        return urgent, float("inf") if np.isnan(self.margin) else self.margin


@dataclass(frozen=True, slots=True)
class Run:
    """A split of a results folder, opened. name: for the reader; queries: the class asked for, by ref."""

    name: str
    masks: MaskStore
    scores: WeightedScores
    selected: SelectionStore
    refs: dict[int, Ref]
    queries: dict[int, str]
    least_area: int = field(default=0)

    @classmethod
    def open(
        cls,
        stack: ExitStack,
        name: str,
        split: str,
        *,
        refs: Path,
        nouns: Path,
        masks: Path,
        scores: Sequence[Path],
        selected: Path,
    ) -> Run:
        """scores: of every scorer that the choice was made from. Raises SscError for files that are missing, damaged or
        of each other's."""
        table = refs_by_image(read_refs(refs, split))
        asked = read_frame(nouns, made_by="extract_nouns", columns=["ref_id", "query"])
        choices = stack.enter_context(SelectionStore(selected))
        return cls(
            name,
            stack.enter_context(MaskStore.open(masks, with_masks=True)),
            WeightedScores.open(stack, scores, weights_of(choices)),
            choices,
            {ref.ref_id: ref for members in table.values() for ref in members},
            dict(zip(asked["ref_id"].tolist(), asked["query"].tolist(), strict=True)),
            int(choices.info.settings.get("min_area", 0)),
        )

    def candidates(self, ref_id: int) -> list[np.ndarray]:
        """Masks that were chosen from, bool (H, W) each, and last the one that a person drew, if one did."""
        return list(self.drawn_too(ref_id).masks())

    def drawn_too(self, ref_id: int) -> Candidates:
        """What was chosen from, with a mask that a person drew."""
        candidates = read_candidates(self.masks, ref_id, merged=self.scores.merged_masks)
        return candidates.with_drawn(self.selected.drawn(ref_id))

    def found_as(self, image_id: int) -> pd.Series:
        """How many instances of each class were found in a photo, the most first."""
        labels = [self.masks.info.class_names[label] for label in self.masks.instances(image_id).labels.tolist()]
        return pd.Series(labels, dtype=object).value_counts()


def label_rows(run: Run) -> list[LabelRow]:
    """The choices of a run, in the RefTable's order, with their reasons. Raises SscError for files of other refs."""
    rows = [row for ref in run.refs.values() for row in _rows(run, ref)]
    margins = np.array([row.margin for row in rows])
    known = margins[~np.isnan(margins)]
    limit = float(np.quantile(known, DOUBTFUL)) if len(known) else -1.0
    reviewed = run.selected.reviewed  # what a person decided needs no second look
    return [row if row.ref.ref_id in reviewed else _with_reasons(row, limit) for row in rows]


def _rows(run: Run, ref: Ref) -> Iterator[LabelRow]:
    if ref.ref_id not in run.selected:
        raise SscError(f"{run.selected.path} has no ref {ref.ref_id} of {ref.file_name}; is it of another split?")
    rows = run.drawn_too(ref.ref_id).rows
    scores, decisive = run.scores.scores(ref.ref_id), run.selected.scores(ref.ref_id)
    allowed = run.scores.areas(ref.ref_id) >= run.least_area
    per_sentence = run.selected.choice_per == "sentence"
    for choice in range(run.selected.choices(ref.ref_id)):
        row = run.selected.chosen(ref.ref_id, choice)
        places = np.flatnonzero(rows == row)
        if row != NONE and not len(places):
            raise SscError(
                f"{run.selected.path}, ref {ref.ref_id}: its choice is no candidate; was it made from others?"
            )
        chosen = int(places[-1]) if row != NONE else -1
        scored = 0 <= chosen < len(allowed)
        best = np.sort(decisive[choice][allowed])[-2:]
        own = ref.sentences[choice : choice + 1] if per_sentence else ref.sentences
        yield LabelRow(
            ref,
            choice,
            own,
            run.queries.get(ref.ref_id, ""),
            len(allowed),
            chosen,
            float(decisive[choice][chosen]) if scored else float("nan"),
            float(best[1] - best[0]) if len(best) == 2 else float("nan"),
            0 if per_sentence or not scored else _against(scores, allowed, chosen),
        )


def _against(scores: np.ndarray, allowed: np.ndarray, chosen: int) -> int:
    """Sentences, of scores (S, K), whose best allowed candidate is another."""
    if not allowed[chosen]:
        return 0
    return int((np.where(allowed, scores, -np.inf).argmax(axis=1) != chosen).sum())


def _with_reasons(row: LabelRow, limit: float) -> LabelRow:
    holds = {
        "empty": row.found == 0,
        "none": row.found > 0 and row.chosen < 0,
        "doubt": row.margin <= limit,
        "disagree": row.against > 0,
        "alone": row.found == 1,
    }
    return replace(row, reasons=tuple(reason for reason in REASONS if holds[reason]))


def by_class(rows: Sequence[LabelRow]) -> pd.DataFrame:
    """A line per class that was looked for: ``asked rows candidates empty none check margin``, the most rows first.

    candidates: mean; margin: median; check: rows with a reason of ``CHECKED``.
    """
    frame = pd.DataFrame(
        {
            "asked": [row.asked for row in rows],
            "candidates": [row.found for row in rows],
            "empty": ["empty" in row.reasons for row in rows],
            "none": ["none" in row.reasons for row in rows],
            "check": [row.to_check for row in rows],
            "margin": [row.margin for row in rows],
        }
    )
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
