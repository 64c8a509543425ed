"""Choices that are worth a look: the worst where the truth is known, and those between two candidates alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.drawing.marks import number_place, soften
from ssc_core.evaluate.pairs import Truth
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import refs_by_image
from ssc_core.report.cards import Card, Gallery, PhotoShelf, Scores, ShelfPhoto, candidate_layers, outline_all
from ssc_core.report.examples import RIGHT
from ssc_core.select.ensemble import WeightedScores, weights_of

CHOICE_TAGS = {
    "doubtful": "Doubtful: two candidates score alike",
    "wrong": "Wrong, though a candidate fits",
    "hopeless": "No candidate fits",
    "none": "Nothing chosen",
}
"""Filters of the gallery. A mask fits when it is right (``examples.RIGHT``)."""

NUMBER = 28
"""Pixels of a photo (``cards.SIDE``) that a number of two digits takes, in page.css's letters."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Files of a split, and its refs by id. Open while cards are drawn."""

    masks: MaskStore
    scores: WeightedScores
    selected: SelectionStore
    truth: Truth
    refs: dict[int, Ref]

    @classmethod
    def open(
        cls,
        stack: ExitStack,
        table: pd.DataFrame,
        truth: Truth,
        *,
        masks: Path,
        scores: Sequence[Path],
        selected: Path,
    ) -> Stores:
        """table: the split's RefTable; scores: of every scorer that the choice was made from."""
        choices = stack.enter_context(SelectionStore(selected))
        return cls(
            masks=stack.enter_context(MaskStore.open(masks, with_masks=True)),
            scores=WeightedScores.open(stack, scores, weights_of(choices)),
            selected=choices,
            truth=truth,
            refs={ref.ref_id: ref for members in refs_by_image(table).values() for ref in members},
        )


def own_choices(rows: pd.DataFrame, stores: Stores, min_area: int) -> pd.DataFrame:
    """The pipeline's own choices, one per row: ``ref_id sentence category index iou iou_best margin``.

    rows: of an eval file that has the choice ``selected``; margin: score points between the two best candidates that
    may be chosen, NaN where there are not two.
    """
    rows = rows.rename(columns={"index_selected": "index", "iou_selected": "iou"})
    if stores.selected.choice_per == "ref":
        rows = rows[rows["sentence"] == 0]
    rows = rows[["ref_id", "sentence", "category", "index", "iou", "iou_best"]].reset_index(drop=True)
    margins = [
        margin(stores, ref, sentence, min_area) for ref, sentence in zip(rows.ref_id, rows.sentence, strict=True)
    ]
    return rows.assign(margin=margins)


def margin(stores: Stores, ref_id: int, sentence: int, min_area: int) -> float:
    """Score points between the two best candidates of at least ``min_area`` pixels; NaN where there are not two."""
    scores = stores.selected.scores(ref_id)[sentence]
    best = np.sort(scores[stores.scores.areas(ref_id) >= min_area])[-2:]
    return float(best[1] - best[0]) if len(best) == 2 else float("nan")


def tagged_choices(choices: pd.DataFrame, size: int) -> Iterator[tuple[Any, set[str]]]:
    """The ``size`` most extreme choices of each kind, worst IoU first, with all tags that they have.

    Doubtful are only the ``size`` with the smallest margins, as every choice has some margin.
    """
    misses, fits = choices["iou"] < RIGHT, choices["iou_best"] >= RIGHT
    ranked = {
        "doubtful": choices["margin"].dropna().sort_values(kind="stable")[:size],
        "wrong": (choices["iou"] - choices["iou_best"])[misses & fits].sort_values(kind="stable"),
        "hopeless": choices["iou_best"][~fits].sort_values(kind="stable"),
        "none": choices["iou"][choices["index"] < 0],
    }
    shown = set().union(*(rank.index[:size] for rank in ranked.values()))
    for row in choices.loc[sorted(shown)].sort_values("iou", kind="stable").itertuples():
        yield row, {tag for tag, rank in ranked.items() if row.Index in rank.index}


def choice_gallery(shown: Iterable[tuple[Any, set[str]]], stores: Stores, photos: PhotoShelf, key: str) -> Gallery:
    """Choices with their tags; photos are read through ``photos``. key: unique on the page."""
    return Gallery([_card(row, tags, stores, photos) for row, tags in shown], key, CHOICE_TAGS)


def _card(row: Any, tags: set[str], stores: Stores, photos: PhotoShelf) -> Card:
    """The photo with all candidates, numbered from 1, the chosen one and the truth; and the scores."""
    ref = stores.refs[row.ref_id]
    sentences = [ref.sentences[row.sentence]] if stores.selected.choice_per == "sentence" else ref.sentences
    notes = [row.category] * bool(row.category) + [f"ref {row.ref_id}", ref.file_name, f"IoU {100 * row.iou:.0f} %"]
    notes += [f"best candidate {100 * row.iou_best:.0f} %"] if row.iou_best > row.iou else []
    notes += [] if np.isnan(row.margin) else [f"ahead by {row.margin:.2f}"]
    photo = photos.photo(ref.file_name)
    candidates = read_candidates(stores.masks, row.ref_id, merged=stores.scores.merged_masks)
    masks = list(candidates.with_drawn(stores.selected.drawn(row.ref_id)).masks())
    layers = [*candidate_layers(masks, row.index), ("truth", stores.truth.mask(row.ref_id))]
    return Card(
        title=" · ".join(f"“{text}”" for text in sentences),
        notes=notes,
        tags=tags,
        category=row.category,
        photo=photo,
        outlines=list(outline_all(layers, photo)),
        numbers=[
            ("pick" if i == row.index else "candidates", *_place(mask, photo), i + 1) for i, mask in enumerate(masks)
        ],
        scores=_scores(row, sentences, stores),
    )


def _place(mask: np.ndarray, photo: ShelfPhoto) -> tuple[float, float]:
    return number_place(soften(mask, (photo.height, photo.width)), NUMBER / 2)


def _scores(row: Any, sentences: Sequence[str], stores: Stores) -> Scores:
    scores = stores.scores.scores(row.ref_id)
    if stores.selected.choice_per == "sentence":
        scores = scores[row.sentence : row.sentence + 1]
    return Scores(
        of_sentences=list(zip(sentences, scores.tolist(), strict=True)),
        decisive=stores.selected.scores(row.ref_id)[row.sentence].tolist(),
        areas=stores.scores.areas(row.ref_id).tolist(),
        chosen=row.index,
    )
