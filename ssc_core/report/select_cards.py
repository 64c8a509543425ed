"""Choices that are worth a look: the worst where the truth is known, and those between two candidates alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.evaluate.pairs import Truth
from ssc_core.masks import MaskStore, ScoreStore, SelectionStore
from ssc_core.masks.candidates import read_candidates
from ssc_core.refer.ref_table import Ref, refs_by_image
from ssc_core.report.cards import PhotoShelf, controls, outline_path
from ssc_core.report.overlay import number_place, soften
from ssc_core.report.tables import table_body, table_head

TAGS = {
    "doubtful": "Doubtful: two candidates score alike",
    "wrong": "Wrong, though a candidate fits",
    "hopeless": "No candidate fits",
    "none": "Nothing chosen",
}
"""Filters of the gallery. A mask fits from IoU 0.5 on."""

FITS = 0.5

NUMBER = 28
"""Pixels of a photo (``cards.SIDE``) that a number of two digits takes, in page.css's letters."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Files of a split, and its refs by id. Open while cards are drawn."""

    masks: MaskStore
    scores: ScoreStore
    selected: SelectionStore
    truth: Truth
    refs: dict[int, Ref]

    @classmethod
    def open(cls, stack: ExitStack, table: pd.DataFrame, truth: Truth, **paths: Path) -> Stores:
        """paths: masks, scores, selected; table: the split's RefTable."""
        return cls(
            masks=stack.enter_context(MaskStore.open(paths["masks"], with_masks=True)),
            scores=stack.enter_context(ScoreStore(paths["scores"])),
            selected=stack.enter_context(SelectionStore(paths["selected"])),
            truth=truth,
            refs={ref.ref_id: ref for members in refs_by_image(table).values() for ref in members},
        )


def own_choices(rows: pd.DataFrame, stores: Stores, min_area: int) -> pd.DataFrame:
    """The pipeline's own choices, one a row: ``ref_id sentence category index iou iou_best margin``.

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


def tagged(choices: pd.DataFrame, size: int) -> Iterator[tuple[Any, set[str]]]:
    """The ``size`` most extreme choices of each kind, worst IoU first, with all tags that they have.

    Doubtful are only the ``size`` with the smallest margins, as every choice has some margin.
    """
    misses, fits = choices["iou"] < FITS, choices["iou_best"] >= FITS
    ranked = {
        "doubtful": choices["margin"].dropna().sort_values(kind="stable")[:size],
        "wrong": (choices["iou"] - choices["iou_best"])[misses & fits].sort_values(kind="stable"),
        "hopeless": choices["iou_best"][~fits].sort_values(kind="stable"),
        "none": choices["iou"][choices["index"] < 0],
    }
    shown = set().union(*(rank.index[:size] for rank in ranked.values()))
    for row in choices.loc[sorted(shown)].sort_values("iou", kind="stable").itertuples():
        yield row, {tag for tag, rank in ranked.items() if row.Index in rank.index}


def choice_gallery(shown: Sequence[tuple[Any, set[str]]], stores: Stores, photos: PhotoShelf, key: str) -> str:
    """Filters and cards of choices with their tags; photos are read through ``photos``. key: unique on the page."""
    cards = [_card(row, tags, stores, photos, f"{key}-{i}") for i, (row, tags) in enumerate(shown)]
    used: set[str] = set().union(*(tags for _, tags in shown))
    categories = sorted({row.category for row, _ in shown} - {""})
    filters = controls(used, categories, {"truth", "pick", "candidates"}, key, names=TAGS)
    return (
        f'<div class="gallery" data-gallery>{filters}<p class="count" role="status" aria-live="polite"></p>'
        f'<div class="grid">{"".join(cards)}</div></div>'
    )


def _card(row: Any, tags: set[str], stores: Stores, photos: PhotoShelf, key: str) -> str:
    ref = stores.refs[row.ref_id]
    per_sentence = stores.selected.choice_per == "sentence"
    sentences = [ref.sentences[row.sentence]] if per_sentence else ref.sentences
    notes = [row.category] * bool(row.category) + [f"ref {row.ref_id}", ref.file_name, f"IoU {100 * row.iou:.0f} %"]
    notes += [f"best candidate {100 * row.iou_best:.0f} %"] if row.iou_best > row.iou else []
    notes += [] if np.isnan(row.margin) else [f"ahead by {row.margin:.2f}"]
    marks = "".join(f'<span class="tag {tag}">{escape(TAGS[tag])}</span>' for tag in TAGS if tag in tags)
    title = " · ".join(f"“{text}”" for text in sentences)
    return (
        f'<article class="example" data-tags="{" ".join(sorted(tags))}" data-category="{escape(row.category)}">'
        f'<button type="button" class="picture" aria-labelledby="{key}" data-open>{_picture(row, ref, stores, photos)}'
        f'</button><h4 id="{key}">{escape(title)}</h4><p class="quiet">{escape(" · ".join(notes))}</p><p>{marks}</p>'
        f"{_scores(row, sentences, stores)}</article>"
    )


def _picture(row: Any, ref: Ref, stores: Stores, photos: PhotoShelf) -> str:
    """SVG: the photo with all candidates, numbered from 1, the chosen one and the truth."""
    height, width = photos(ref.file_name).shape[:2]
    size = (height, width)
    merged = stores.scores.merged_masks
    masks = list(read_candidates(stores.masks, row.ref_id, merged=merged).masks())
    layers = [("pick" if index == row.index else "candidates", mask) for index, mask in enumerate(masks)]
    layers.sort(key=lambda layer: layer[0])  # the pick is drawn over the others
    truth = stores.truth.mask(row.ref_id)
    paths = "".join(
        outline_path(name, mask, size) for name, mask in [*layers, *([("truth", truth)] * (truth is not None))]
    )
    numbers = "".join(_number(index, mask, size, chosen=index == row.index) for index, mask in enumerate(masks))
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{photos.use(ref.file_name)}{paths}{numbers}</svg>'


def _number(index: int, mask: np.ndarray, size: tuple[int, int], *, chosen: bool) -> str:
    x, y = number_place(soften(mask, size), NUMBER / 2)
    return f'<text class="{"pick" if chosen else "candidates"}" x="{x:g}" y="{y:g}">{index + 1}</text>'


def _scores(row: Any, sentences: Sequence[str], stores: Stores) -> str:
    """A table that opens on demand: a column a candidate, a row a sentence, and what the choice was made from."""
    scores, areas = stores.scores.scores(row.ref_id), stores.scores.areas(row.ref_id)
    if scores.shape[1] == 0:
        return '<p class="quiet">This ref has no candidate.</p>'
    if stores.selected.choice_per == "sentence":
        scores = scores[row.sentence : row.sentence + 1]
    lines = [*zip(map(escape, sentences), scores, strict=True)]
    decisive = stores.selected.scores(row.ref_id)[row.sentence]
    lines.append(("<b>decisive</b>", decisive))
    names = [f"{index + 1}{' ✓' if index == row.index else ''}" for index in range(len(areas))]
    rows = [
        f'<th scope="row">{name}</th>' + "".join(f'<td class="number">{value:.1f}</td>' for value in values)
        for name, values in lines
    ]
    rows.append('<th scope="row">pixels</th>' + "".join(f'<td class="number quiet">{area}</td>' for area in areas))
    table = f'<table class="groups">{table_head(("", *names))}{table_body(rows)}</table>'
    return (
        '<details><summary>Scores of the candidates</summary><div class="table" tabindex="0" role="region" '
        f'aria-label="Scores of the candidates">{table}</div></details>'
    )
