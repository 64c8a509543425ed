"""Examples from stored evaluation rows: which sentences to show, and everything needed to draw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssc_core.config.methods import method_name
from ssc_core.errors import SscError
from ssc_core.evaluate.model import sentences_path
from ssc_core.evaluate.pairs import LoadImage, Truth
from ssc_core.evaluate.schema import ModelEval, read_eval
from ssc_core.masks import rle
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.example_sheet import Example, example_sheet
from ssc_core.report.sheet import write_picture
from ssc_core.tables import read_frame


@dataclass(frozen=True, slots=True)
class ExampleFiles:
    """Where examples come from. masks and selected are shown when both are there."""

    photos: LoadImage
    truth: Truth
    masks: MaskStore | None = None
    selected: SelectionStore | None = None

    @classmethod
    def open(cls, stack: ExitStack, photos: LoadImage, truth: Path, masks: Path, selected: Path) -> ExampleFiles:
        """Raises SscError for files that are missing or damaged."""
        found = stack.enter_context(MaskStore.open(masks, with_masks=True))
        return cls(photos, TruthStore(truth), found, stack.enter_context(SelectionStore(selected)))


def write_eval_picture(
    *, refs: Path, truth: Path, evaluation: Path, images: Path, picture: Path, count: int = 8
) -> None:
    """Contact sheet of ``count`` sentences, evenly spaced from the best IoU to the worst, so that it flatters nobody.

    evaluation: a network's eval file, its rows beside it; images: folder of the photos.
    """
    content = read_eval(evaluation)
    if not isinstance(content, ModelEval):
        raise SscError(f"{evaluation} is not of a network; run evaluate again")
    table = read_frame(sentences_path(evaluation), made_by="evaluate")
    shown = spread(table, count)
    sources = ExampleFiles(open_photos(refs, images).or_grey, TruthStore(truth))
    sheet = example_sheet(
        [load_example(row, sources) for row in shown.itertuples()],
        columns=2,
        panel=260,
        title=f"{content.dataset} {content.split}, {content.world} world: {method_name(content.method)}",
        subtitle=f"oIoU {content.oIoU:.1f} %. {len(shown)} of {len(table)} sentences, "
        "evenly spaced from best to worst IoU.",
    )
    write_picture(picture, sheet)


def spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows, one per ref while there are enough refs, evenly spaced by IoU from the best to the worst."""
    one_each = rows.drop_duplicates("ref_id") if rows["ref_id"].nunique() >= count else rows
    ordered = one_each.sort_values(["iou_native", "sent_id"], ascending=[False, True])
    return evenly(ordered, count)


def evenly(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows, or all if there are fewer, evenly spaced from the first to the last."""
    return rows.iloc[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def load_example(row: Any, sources: ExampleFiles) -> Example:
    """Example of a row of ``evaluate.pairs.measure_pairs``; with candidates, of ``beside_picks``."""
    truth = sources.truth.mask(row.ref_id)
    notes = [row.category] * bool(row.category) + [f"IoU {100 * row.iou_native:.1f}\u00a0%"]
    candidates, pick = None, None
    if sources.masks is not None and sources.selected is not None:
        candidates, pick = _candidates(row.ref_id, row.sentence_number, sources.masks, sources.selected)
        if pick is not None and truth is not None:
            notes.append(f"Select's pick {100 * mask_iou(candidates[pick], truth):.1f}\u00a0%")
    notes.append(row.file_name)
    return Example(
        image=sources.photos(row.file_name),
        sentence=row.sentence,
        prediction=rle.decode([row.rle.encode("ascii")], (row.rle_height, row.rle_width))[0],
        truth=truth,
        candidates=candidates,
        pick=pick,
        notes=notes,
    )


def _candidates(
    ref_id: int, sentence: int, masks: MaskStore, selected: SelectionStore
) -> tuple[Sequence[np.ndarray], int | None]:
    """A ref's candidates and the index of the one that was picked for a sentence."""
    candidates = read_candidates(masks, ref_id, merged=selected.merged_masks).with_drawn(selected.drawn(ref_id))
    per_sentence = selected.choice_per == "sentence"
    rows, chosen = candidates.rows.tolist(), selected.chosen(ref_id, sentence if per_sentence else 0)
    return list(candidates.masks()), rows.index(chosen) if chosen in rows else None


def mask_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union, 0 where both are empty."""
    return int(np.count_nonzero(mask & truth)) / max(1, int(np.count_nonzero(mask | truth)))


def beside_picks(rows: pd.DataFrame, picked: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of a network's evaluation with ``select_iou``, the IoU of Select's pick for them, NaN where unknown, and
    ``sentence_number`` within their ref, from 0.

    rows: ``evaluate.pairs.measure_pairs``; picked: ``evaluate.masks.candidates_path`` with a choice ``selected``, or
    None. Both in photo pixels.
    """
    rows = rows.assign(sentence_number=rows.groupby("ref_id").cumcount(), select_iou=np.nan)
    if picked is None:
        return rows
    picks = picked.set_index(["ref_id", "sentence"])["iou_selected"]
    # one choice per ref stands for all its sentences
    of_sentence = rows["sentence_number"] if picked["sentence"].any() else 0 * rows["sentence_number"]
    return rows.assign(select_iou=picks.reindex(pd.MultiIndex.from_arrays([rows["ref_id"], of_sentence])).to_numpy())


RIGHT = 0.5
"""A mask counts as right from this IoU on."""

SENTENCE_TAGS = {
    "best": "Best",
    "worst": "Worst",
    "repaired": "Select wrong, repaired",
    "spoiled": "Select right, lost",
    "empty": "Empty prediction",
    "several": "Several of the same class",
}
"""Filters of the report's gallery."""


def tagged_sentences(rows: pd.DataFrame, picked: pd.DataFrame | None, size: int) -> Iterator[tuple[Any, set[str]]]:
    """About ``size`` rows to show and their tags: an even spread, and the extremes of every tag.

    picked: see ``beside_picks``.
    """
    rows = beside_picks(rows, picked)
    right, was_right, was_wrong = (
        rows["iou_native"] >= RIGHT,
        rows["select_iou"] >= RIGHT,
        rows["select_iou"] < RIGHT,
    )
    gain = rows["iou_native"] - rows["select_iou"]
    orders = {
        "best": rows["iou_native"].sort_values(ascending=False, kind="stable"),
        "worst": rows["iou_native"].sort_values(kind="stable"),
        "repaired": gain[right & was_wrong].sort_values(ascending=False, kind="stable"),
        "spoiled": gain[~right & was_right].sort_values(kind="stable"),
    }
    share = max(1, size // (len(orders) + 1))
    # one per photo: the extremes are often sentences of the same few photos
    shown = {name: _first_of_each(rows["image_id"], order.index, share) for name, order in orders.items()}
    shown["even"] = set(spread(rows, size - share * len(orders)).index)
    everything = rows.loc[sorted(set().union(*shown.values()))].sort_values(
        "iou_native", ascending=False, kind="stable"
    )
    for index, row in everything.iterrows():
        tags = {name for name in orders if index in shown[name]}
        tags |= {"empty"} if row["area"] == 0 else set()
        tags |= {"several"} if row["num_candidates"] not in ("0", "1") else set()
        yield row, tags


def _first_of_each(image_ids: pd.Series, order: pd.Index, count: int) -> set[Any]:
    """The first ``count`` rows of ``order``, one per photo."""
    return set(image_ids.loc[order].drop_duplicates().index[:count])
