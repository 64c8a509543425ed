"""How often Correct matched a ref with the true object: measured afterwards, since training sees no ground truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssc_core.config.labelling import CompatSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.pairs import Truth
from ssc_core.masks.compat import merge_candidates, palette_targets
from ssc_core.masks.store import MaskStore

RIGHT_IOU = 0.5
"""A candidate is the true object when it is the ref's best one and has at least this IoU with the ground truth."""


def matching_accuracy(matches: pd.DataFrame, masks: MaskStore, truth: Truth, compat: CompatSettings) -> pd.DataFrame:
    """Accuracy of the matching by epoch.

    matches: epoch, ref_id, candidate, an index among the ref's candidates or -1 for none, one row per sample that was
    trained on; of a ref without candidates, 0 is a mask that a person drew. compat: as in training, since two of its
    switches change a ref's candidates; with ``palette_targets``, places of refs that people decided on mean nothing
    here. Refs without ground truth, and refs of which no candidate is the true object, are counted as wrong: nothing
    right was there to be matched.

    Returns a row per epoch: ``epoch``, ``pairs`` (samples), ``accuracy`` (0..1), and of samples whose refs have two
    candidates or more ``with_choice`` (how many) and ``accuracy_with_choice`` (NaN where there are none).

    Raises SscError when a match is none of its ref's candidates.
    """
    refs = matches["ref_id"].unique().tolist()
    found = [_true_candidate(ref, masks, truth, compat) for ref in refs]
    rows = matches.join(pd.DataFrame(found, index=refs, columns=["true", "count"]), on="ref_id")
    strange = rows[rows["candidate"] >= rows["count"].clip(lower=1)]
    if len(strange):
        raise SscError(
            f"ref {strange['ref_id'].iloc[0]} was matched with a candidate that it does not have in {masks.path}; "
            "was the network trained on other masks?"
        )
    rows["right"] = (rows["candidate"] >= 0) & (rows["candidate"] == rows["true"])
    rows["open"] = rows["right"].where(rows["count"] > 1)
    by_epoch = rows.groupby("epoch")
    table = by_epoch.agg(pairs=("right", "size"), accuracy=("right", "mean"))
    table["with_choice"] = by_epoch["open"].count()
    table["accuracy_with_choice"] = by_epoch["open"].agg(lambda right: right.astype(float).mean())
    return table.reset_index()


def _true_candidate(ref_id: int, masks: MaskStore, truth: Truth, compat: CompatSettings) -> tuple[int, int]:
    """Index of the candidate that is the true object, -1 when none is, and the number of candidates."""
    candidates = masks.candidate_masks(ref_id)
    if len(candidates) and compat.palette_targets:
        candidates = palette_targets(candidates)
    elif len(candidates) and compat.merged_masks:
        candidates = merge_candidates(candidates)
    target = truth.mask(ref_id)
    if target is None or not len(candidates):
        return -1, len(candidates)
    union = (candidates | target).sum((1, 2))
    ious = (candidates & target).sum((1, 2)) / np.maximum(union, 1)
    best = int(np.argmax(ious))
    return (best if ious[best] >= RIGHT_IOU else -1), len(candidates)
