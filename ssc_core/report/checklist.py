"""What a person looks at after labelling: every ref with its mask over the photo, doubtful ones first, and a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ssc_core.files import atomic_path
from ssc_core.masks.selection import ScoreStore, SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.images import PhotoReader
from ssc_core.refer.ref_table import Ref, refs_by_image
from ssc_core.report.overlay import candidates_overlay
from ssc_core.report.pages import write_page

CLOSE_SHARE = 0.25
"""The share of refs with several candidates that are called close: those with the smallest margins. Scores of other
models have other scales, so that no margin is small by itself."""

SIDE = 640
"""Longer side of an overlay, pixels."""

CARDS = 200
"""Refs on a page."""

COLUMNS = ("ref", "image", "sentences", "class", "candidates", "score", "margin", "why", "overlay")


@dataclass(slots=True)
class Checked:
    """A ref. looked_for: the class; score: of the choice; margin: to the best of the other candidates, None for fewer
    than two; why: it is doubtful, empty when it is not; overlay: its picture, relative to the page."""

    ref: Ref
    looked_for: str
    candidates: int
    score: float | None
    margin: float | None
    disagree: bool
    overlay: str = ""
    why: str = ""


def check_refs(
    refs: pd.DataFrame, queries: pd.DataFrame, masks: MaskStore, scores: ScoreStore, selected: SelectionStore
) -> list[Checked]:
    """All refs of a split: those without a mask first, then the doubtful by margin, then the others by margin.

    refs: a RefTable; queries: of ``nouns.parquet``.
    """
    looked_for = dict(zip(queries["ref_id"], queries["query"], strict=True))
    known = set(selected.ref_ids.tolist())
    found = [
        _check(ref, looked_for.get(ref.ref_id, ""), masks, scores, selected) if ref.ref_id in known else _unread(ref)
        for members in refs_by_image(refs).values()
        for ref in members
    ]
    margins = [one.margin for one in found if one.margin is not None]
    close = float(np.quantile(margins, CLOSE_SHARE)) if margins else 0.0
    for one in found:
        if one.ref.ref_id not in selected.reviewed:
            one.why = one.why or _why(one, close)
    order = {True: 0, False: 1}
    return sorted(
        found,
        key=lambda one: (one.score is not None, order[bool(one.why)], one.margin if one.margin is not None else np.inf),
    )


def _unread(ref: Ref) -> Checked:
    return Checked(ref, "", 0, None, None, disagree=False, why="the photo cannot be read")


def _check(ref: Ref, looked_for: str, masks: MaskStore, scores: ScoreStore, selected: SelectionStore) -> Checked:
    rows = masks.candidates(ref.ref_id).rows
    values = selected.scores(ref.ref_id).mean(axis=0)
    chosen = selected.chosen(ref.ref_id)
    place = np.flatnonzero(rows == chosen)
    if not len(place):
        return Checked(ref, looked_for, len(rows), None, None, disagree=False)
    others = np.delete(values, place[0])
    each = scores.scores(ref.ref_id)
    return Checked(
        ref,
        looked_for,
        len(rows),
        float(values[place[0]]),
        float(values[place[0]] - others.max()) if len(others) else None,
        disagree=len(each) > 1 and each.shape[1] > 1 and len(set(each.argmax(axis=1).tolist())) > 1,
    )


def _why(one: Checked, close: float) -> str:
    if one.score is None:
        return f"no {one.looked_for or 'object'} was found"
    if one.disagree:
        return "its sentences choose different candidates"
    if one.margin is not None and one.margin <= close:
        return "another candidate scores almost the same"
    return ""


def draw_overlays(
    checked: Sequence[Checked], masks: MaskStore, selected: SelectionStore, photos: PhotoReader, out: Path
) -> None:
    """Write a JPEG for every ref below ``out / "overlays"``, and set its ``overlay``."""
    folder = out / "overlays"
    folder.mkdir(parents=True, exist_ok=True)
    for one in sorted(checked, key=lambda one: one.ref.image_id):
        photo = photos.or_none(one.ref.file_name)
        if photo is None:
            continue
        candidates: list[np.ndarray] = []
        pick = None
        if one.candidates:
            rows = masks.candidates(one.ref.ref_id).rows
            candidates = list(masks.masks(rows))
            place = np.flatnonzero(rows == selected.chosen(one.ref.ref_id))
            pick = int(place[0]) if len(place) else None
        one.overlay = f"overlays/{Path(one.ref.file_name).stem}_{one.ref.ref_id}.jpg"
        picture = candidates_overlay(photo, candidates, pick, side=SIDE)
        with atomic_path(out / one.overlay) as temporary:
            Image.fromarray(picture).save(temporary, format="JPEG", quality=88)


def write_check(checked: Sequence[Checked], out: Path) -> int:
    """Write those refs that are doubtful or empty as CSV with ``COLUMNS``; how many."""
    rows = [one for one in checked if one.why]
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([one.ref.ref_id, one.ref.file_name, *_cells(one), one.overlay] for one in rows)
    return len(rows)


def _cells(one: Checked) -> list[object]:
    score, margin = ("" if value is None else f"{value:.3f}" for value in (one.score, one.margin))
    return [" | ".join(one.ref.sentences), one.looked_for, one.candidates, score, margin, one.why]


def write_pages(checked: Sequence[Checked], out: Path, *, world: str, models: Sequence[tuple[str, str]]) -> list[Path]:
    """Write ``labels.html``, ``labels_2.html``, ...: all refs as cards, ``CARDS`` on a page.

    world: of the photos and models; models: what made the labels, by setting.
    """
    pages = list(_paged(checked))
    names = ["labels.html", *(f"labels_{number}.html" for number in range(2, len(pages) + 1))]
    for name, cards in zip(names, pages, strict=True):
        write_page(
            "labels.html",
            out / name,
            title="Labels",
            worlds=[world],
            links=[(other, f"Page {number}") for number, other in enumerate(names, 1)] if len(names) > 1 else [],
            cards=cards,
            models=models,
            total=len(checked),
            doubtful=sum(bool(one.why) for one in checked),
            empty=sum(one.score is None for one in checked),
        )
    return [out / name for name in names]


def _paged(checked: Sequence[Checked]) -> Iterator[Sequence[Checked]]:
    for first in range(0, max(1, len(checked)), CARDS):
        yield checked[first : first + CARDS]
