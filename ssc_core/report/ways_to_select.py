"""The report's section of ways to select: their table, and the pipeline's own choices that are worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.evaluate.pairs import Truth
from ssc_core.layout import DatasetFolder
from ssc_core.provenance import file_sha256
from ssc_core.refer.truth import TruthStore
from ssc_core.report.cards import Card, Gallery, PhotoShelf, choice_card
from ssc_core.report.examples import RIGHT
from ssc_core.report.run import Run, margin
from ssc_core.report.select_table import OWN, Ways, compared, read_selections
from ssc_core.select.ensemble import scores_behind

CARDS_A_TAG = 24

CHOICE_TAGS = {
    "doubtful": "Doubtful: two candidates score alike",
    "wrong": "Wrong, though a candidate fits",
    "hopeless": "No candidate fits",
    "none": "Nothing chosen",
}
"""Filters of the gallery. A mask fits when it is right (``examples.RIGHT``)."""


def select_view(folder: DatasetFolder, split: str, ways: Ways, photos: PhotoShelf) -> dict[str, Any]:
    """What templates/select.html shows of a split whose ways to select were evaluated.

    ``gallery`` is None where the pipeline has other choices by now than were evaluated.

    Raises SscError as ``write_select_table``.
    """
    evaluation, selected = (folder(name, split=split) for name in ("selections", "selected"))
    content, rows = read_selections(evaluation)
    view = {
        "where": f"{content.dataset} {content.split}",
        "lines": compared(content, rows, ways),
        "content": content,
        "cards_a_tag": CARDS_A_TAG,
        "gallery": None,
    }
    if not selected.is_file() or file_sha256(selected) != content.data.get(OWN):
        return view
    nouns, masks, *scores = (folder(name, split=split) for name in ("nouns", "masks", *scores_behind(selected)))
    if not all(path.is_file() for path in (nouns, masks, *scores)):
        return view
    with ExitStack() as stack:
        run = Run.open(
            stack, split, split, refs=folder("refs"), nouns=nouns, masks=masks, scores=scores, selected=selected
        )
        choices = own_choices(rows, run)
        shown = tagged_choices(choices, CARDS_A_TAG)
        gallery = _gallery(shown, run, TruthStore(folder("truth")), photos, f"{content.dataset}-{split}-choice")
    misses, fits = choices["iou"] < RIGHT, choices["iou_best"] >= RIGHT
    return view | {
        "gallery": gallery,
        "n_choices": len(choices),
        "n_missed": int((misses & fits).sum()),
        "n_hopeless": int((~fits).sum()),
    }


def own_choices(rows: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The pipeline's own choices, one per row: ``ref_id sentence category index iou iou_best margin``.

    rows: of an eval file that has the choice ``selected``; margin: ``run.margin`` of what may be chosen.
    """
    rows = rows.rename(columns={"index_selected": "index", "iou_selected": "iou"})
    if not run.per_sentence:
        rows = rows[rows["sentence"] == 0]
    rows = rows[["ref_id", "sentence", "category", "index", "iou", "iou_best"]].reset_index(drop=True)
    choices = zip(rows["ref_id"].tolist(), rows["sentence"].tolist(), strict=True)
    return rows.assign(
        margin=[margin(run.selected.scores(ref)[choice][run.may_be_chosen(ref)]) for ref, choice in choices]
    )


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


def _gallery(shown: Iterable[tuple[Any, set[str]]], run: Run, truth: Truth, photos: PhotoShelf, key: str) -> Gallery:
    refs = {ref.ref_id: ref for ref in run.refs()}

    def card(row: Any, tags: set[str]) -> Card:
        ref = refs[row.ref_id]
        notes = [row.category] * bool(row.category)
        notes += [f"ref {row.ref_id}", ref.file_name, f"IoU {100 * row.iou:.0f} %"]
        notes += [f"best candidate {100 * row.iou_best:.0f} %"] * (row.iou_best > row.iou)
        notes += [] if np.isnan(row.margin) else [f"ahead by {row.margin:.2f}"]
        return choice_card(
            run,
            ref,
            row.sentence,
            row.index,
            photos,
            category=row.category,
            notes=notes,
            tags=tags,
            truth=truth.mask(row.ref_id),
        )

    return Gallery([card(row, tags) for row, tags in shown], key, CHOICE_TAGS)
