"""What Segment found and Select chose for every ref of a split, how sure that is, and why it may be worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.errors import SscError
from ssc_core.masks.candidates import Candidates, read_candidates
from ssc_core.masks.choice import NONE
from ssc_core.masks.reader import Ids
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import photos_of, refs_by_photo
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
        return why(self.reasons)

    @property
    def name(self) -> str:
        return f"ref {self.ref.ref_id} of {self.ref.file_name}"

    @property
    def doubt(self) -> tuple[int, float]:
        """Sorts the most doubtful first: by the most urgent reason, then by the margin. See ``Labels.doubtful``."""
        urgent = next((place for place, reason in enumerate(REASONS) if reason in self.reasons), len(REASONS))
        return urgent, float("inf") if np.isnan(self.margin) else self.margin


@dataclass(frozen=True, slots=True)
class Run:
    """A split of a results folder, opened. name: for the reader; table: refs.parquet; asked: the class asked for, by
    ref."""

    name: str
    masks: MaskStore
    scores: WeightedScores
    selected: SelectionStore
    table: Path
    split: str
    asked: Asked
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
        choices = stack.enter_context(SelectionStore(selected))
        return cls(
            name,
            stack.enter_context(MaskStore.open(masks, with_masks=True)),
            WeightedScores.open(stack, scores, weights_of(choices)),
            choices,
            refs,
            split,
            Asked(nouns),
            int(choices.info.settings.get("min_area", 0)),
        )

    def refs(self) -> Iterator[Ref]:
        """The split's refs: photos by first appearance, a photo's refs together."""
        for _, members in refs_by_photo(self.table, photos_of(self.table, self.split), self.split):
            yield from members

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


class Asked:
    """The class that each ref asks for, from nouns.parquet: a number a ref, each name once. names: the last is "",
    for refs without any."""

    def __init__(self, nouns: Path) -> None:
        table = read_frame(nouns, made_by="extract_nouns", columns=["ref_id", "query"])
        self._refs = Ids(table["ref_id"].to_numpy(), "ref", nouns)
        self._numbers, names = pd.factorize(table["query"])
        self.names = (*names.tolist(), "")

    def number(self, ref_id: int) -> int:
        """Index of the name that a ref asks for."""
        row = self._refs.find(ref_id)
        return len(self.names) - 1 if row is None else int(self._numbers[row])


_NUMBERS = np.dtype(
    [
        ("image_id", "<i8"),
        ("ref_id", "<i8"),
        ("choice", "<i4"),
        ("asked", "<i4"),
        ("found", "<i4"),
        ("chosen", "<i4"),
        ("score", "<f8"),
        ("margin", "<f8"),
        ("against", "<i4"),
        ("reasons", "<i4"),
    ]
)
"""asked: index among ``Asked.names``; reasons: a bit for each of ``REASONS``, in their order; else as ``LabelRow``."""


class Labels:
    """The choices of a run: photos by first appearance in the RefTable, a photo's refs together.

    Of all of them, memory holds numbers, some 60 bytes a choice; texts are those of the photos that are read.

    numbers: ``_NUMBERS`` (N,); places among them are what methods take. chosen_only: leave refs out that Select passed
    over, else these raise SscError, as files of other refs do.
    """

    def __init__(self, run: Run, *, chosen_only: bool = False) -> None:
        self.run = run
        refs = (ref for ref in run.refs() if not chosen_only or ref.ref_id in run.selected)
        self.numbers = np.fromiter((line for ref in refs for line in _numbers(run, ref)), _NUMBERS)
        _give_reasons(self.numbers, run.selected.reviewed)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def to_check(self) -> np.ndarray:
        """Whether a person should look at a choice, bool (N,)."""
        return (self.numbers["reasons"] & sum(_bit(reason) for reason in CHECKED)) > 0

    def has(self, reason: str) -> np.ndarray:
        """Which choices have a reason, bool (N,)."""
        return (self.numbers["reasons"] & _bit(reason)) > 0

    def doubtful(self) -> np.ndarray:
        """Places of those to check, in the order of ``LabelRow.doubt``, int64."""
        urgent = np.full(len(self), len(REASONS))
        for place, reason in reversed(list(enumerate(REASONS))):
            urgent[self.has(reason)] = place
        margins = self.numbers["margin"]
        order = np.lexsort((np.where(np.isnan(margins), np.inf, margins), urgent))
        return order[self.to_check[order]]

    def certainty(self, ref_id: int, choice: int) -> dict[str, float | str | None]:
        """What Select says of a choice: ``score margin check``, as in ``LabelRow``, None for what is not known."""
        line = self.numbers[self._starts[self._refs.row(ref_id)] + choice]
        score, margin = (None if np.isnan(line[name]) else float(line[name]) for name in ("score", "margin"))
        return {"score": score, "margin": margin, "check": why(_reasons(line["reasons"]))}

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
        _, _, choice, asked, found, chosen, score, margin, against, bits = line
        sentences = ref.sentences[choice : choice + 1] if self._per_sentence else ref.sentences
        name = self.run.asked.names[asked]
        return LabelRow(ref, choice, sentences, name, found, chosen, score, margin, against, _reasons(bits))

    @property
    def _per_sentence(self) -> bool:
        return self.run.selected.choice_per == "sentence"

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.flatnonzero(self.numbers["choice"] == 0)

    @cached_property
    def _refs(self) -> Ids:
        return Ids(self.numbers["ref_id"][self._starts], "ref", self.run.table)


def _numbers(run: Run, ref: Ref) -> Iterator[tuple[Any, ...]]:
    """``_NUMBERS`` of a ref's choices, without reasons."""
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
        yield (
            ref.image_id,
            ref.ref_id,
            choice,
            run.asked.number(ref.ref_id),
            len(allowed),
            chosen,
            float(decisive[choice][chosen]) if scored else float("nan"),
            float(best[1] - best[0]) if len(best) == 2 else float("nan"),
            0 if per_sentence or not scored else _against(scores, allowed, chosen),
            0,
        )


def _against(scores: np.ndarray, allowed: np.ndarray, chosen: int) -> int:
    """Sentences, of scores (S, K), whose best allowed candidate is another."""
    if not allowed[chosen]:
        return 0
    return int((np.where(allowed, scores, -np.inf).argmax(axis=1) != chosen).sum())


def why(reasons: Iterable[str]) -> str:
    """Reasons, for people; empty without one."""
    return "; ".join(REASONS[reason] for reason in reasons)


def _bit(reason: str) -> int:
    return 1 << list(REASONS).index(reason)


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for reason in REASONS if bits & _bit(reason))


def _give_reasons(numbers: np.ndarray, reviewed: frozenset[int]) -> None:
    """What a person decided needs no second look, so it gets none."""
    margins = numbers["margin"]
    known = margins[~np.isnan(margins)]
    limit = float(np.quantile(known, DOUBTFUL)) if len(known) else -1.0
    holds = {
        "empty": numbers["found"] == 0,
        "none": (numbers["found"] > 0) & (numbers["chosen"] < 0),
        "doubt": margins <= limit,
        "disagree": numbers["against"] > 0,
        "alone": numbers["found"] == 1,
    }
    decided = np.isin(numbers["ref_id"], list(reviewed))
    for reason in REASONS:
        numbers["reasons"] |= np.where(holds[reason] & ~decided, _bit(reason), 0).astype("<i4")


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
