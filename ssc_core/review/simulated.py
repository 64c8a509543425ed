"""A reviewer who knows the truth, to measure what reviews are worth: asked as ``ssc review`` asks where no network says
anything yet, or at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from ssc_core.config.labelling import ReviewerSettings
from ssc_core.masks import rle
from ssc_core.masks.candidates import read_candidates
from ssc_core.masks.reviews import Decision, Review
from ssc_core.refer.truth import TruthStore
from ssc_core.report.label_rows import LabelRow, asked_rows
from ssc_core.report.run import Run

WHEN = datetime(2000, 1, 1, tzinfo=UTC)
"""The same answers are the same bytes."""


def simulated_reviews(run: Run, truth: TruthStore, settings: ReviewerSettings) -> Iterator[Review]:
    """Answers for the first ``share`` of the refs: the candidate of the highest IoU with the truth, or none.

    Refs for which nothing was found come last in either order, and those without ground truth are not asked about.
    """
    rows = asked_rows(run) if settings.order == "doubt" else _shuffled(asked_rows(run, "table"), settings.seed)
    rows = [row for row in rows if truth.has(row.ref.ref_id)]
    for row in rows[: round(settings.share * len(rows))]:
        yield _answer(run, truth, row, settings.least_iou)


def _shuffled(rows: Sequence[LabelRow], seed: int) -> list[LabelRow]:
    by_id = sorted(rows, key=lambda row: row.ref.ref_id)
    drawn = [by_id[place] for place in np.random.default_rng(seed).permutation(len(by_id))]
    return sorted(drawn, key=lambda row: row.found == 0)


def _answer(run: Run, truth: TruthStore, row: LabelRow, least_iou: float) -> Review:
    ref, mask = row.ref, truth.mask(row.ref.ref_id)
    assert mask is not None, "refs without ground truth are not asked about"
    rles = read_candidates(run.masks, ref.ref_id, merged=run.scores.merged_masks).rles
    decision, code, size = Decision.none, None, None
    nearest = rle.nearest(rle.encode(mask[None])[0], rles, (ref.height, ref.width))
    if nearest is not None and nearest[1] >= least_iou:
        decision, code, size = Decision.chosen, rles[nearest[0]], (ref.height, ref.width)
    return Review(ref.ref_id, ref.file_name, decision, size, code, "simulated", WHEN, ref.sentences)
