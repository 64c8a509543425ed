"""Metrics of referring segmentation: oIoU, mIoU and Precision@t, their bootstrap intervals and breakdowns.

All figures are percentages with full float precision. Policy for empty masks, as published: a pair whose union is
empty has IoU 0 and adds nothing to oIoU; an empty prediction of an existing object has IoU 0 and adds the object's
area to the union.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssc_core.errors import SscError

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Precision@t is the share of pairs whose IoU is at least t."""

CONFIDENCE = 0.95

_DRAWS_AT_ONCE = 400_000
"""Bounds the bootstrap's memory: images times resamples of them, 3 MB. How they are parted changes no draw."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pixels that prediction and truth share, one entry a measured pair (a sentence, or a ref).

    intersections, unions: int64 (N,).
    """

    intersections: np.ndarray
    unions: np.ndarray

    def __post_init__(self) -> None:
        if self.intersections.shape != self.unions.shape or self.intersections.ndim != 1:
            raise ValueError(f"shapes {self.intersections.shape} and {self.unions.shape}: both must be (N,)")

    def __len__(self) -> int:
        return len(self.unions)

    @property
    def ious(self) -> np.ndarray:
        """float64 (N,), in 0..1; an empty union gives 0."""
        return self.intersections / np.maximum(self.unions, 1)

    def take(self, rows: np.ndarray) -> Overlaps:
        """The pairs at ``rows`` (indices or a bool mask)."""
        return Overlaps(self.intersections[rows], self.unions[rows])


def summarise(overlaps: Overlaps, weights: np.ndarray | None = None) -> dict[str, Any]:
    """``{oIoU, mIoU, precision: {"0.5": ...}}`` in percent.

    oIoU = sum of w I / sum of w U; mIoU = mean of I / U under w; Precision@t = share of w with I / U >= t.
    ``weights``: float (N,), 1 each by default; ``ref_weights`` counts every ref once.
    """
    w = np.ones(len(overlaps)) if weights is None else np.asarray(weights, np.float64)
    sums = (_columns(overlaps) * w[:, None]).sum(axis=0)
    return _named(_figures(sums[None])[0])


def bootstrap(overlaps: Overlaps, groups: ArrayLike, *, samples: int, seed: int) -> dict[str, Any]:
    """95 % percentile intervals ``{oIoU: [low, high], mIoU: [...], precision: {"0.5": [...]}}``, in percent.

    Whole groups (images) are drawn with replacement, since sentences of one image are not independent: as many as
    there are, ``samples`` times. Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    if samples < 1:
        raise ValueError("samples must be at least 1")
    sums = _group_sums(_columns(overlaps), groups)
    return _named(_interval(sums, _figures, samples=samples, seed=seed).T)


@dataclass(frozen=True, slots=True)
class Figure:
    """A percentage, or a difference of two, with its 95 % bootstrap interval where one was asked for."""

    value: float
    low: float | None = None
    high: float | None = None


def paired_gains(ours: Overlaps, theirs: Overlaps, groups: ArrayLike, *, samples: int, seed: int) -> list[Figure]:
    """Gain of ``ours`` over ``theirs`` in oIoU and in mIoU, percentage points, on the same pairs.

    The interval is that of the difference, as ``bootstrap`` draws it: the same groups for both, so that what is hard
    for both cancels out. samples 0: no interval.
    """
    columns = [column for one in (ours, theirs) for column in (one.intersections, one.unions, one.ious)]
    sums = _group_sums(np.column_stack([*columns, np.ones(len(ours))]), groups)
    values = _differences(sums.sum(axis=0, keepdims=True))[0].tolist()
    if samples == 0:
        return [Figure(value) for value in values]
    bounds = _interval(sums, _differences, samples=samples, seed=seed).tolist()
    return [Figure(value, low, high) for value, low, high in zip(values, *bounds, strict=True)]


def breakdown(overlaps: Overlaps, labels: ArrayLike, order: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Figures by label: ``{label: {n, oIoU, mIoU, P@0.5}}``, in ``order`` without absent labels, else biggest first."""
    label_array = np.asarray(labels, dtype=str)
    found, counts = np.unique(label_array, return_counts=True)
    present = dict(zip(found.tolist(), counts.tolist(), strict=True))
    names = sorted(present, key=lambda name: (-present[name], name)) if order is None else order
    result = {}
    for name in names:
        if name not in present:
            continue
        figures = summarise(overlaps.take(label_array == name))
        result[name] = {
            "n": present[name],
            "oIoU": figures["oIoU"],
            "mIoU": figures["mIoU"],
            "P@0.5": figures["precision"]["0.5"],
        }
    return result


def ref_weights(ref_ids: ArrayLike) -> np.ndarray:
    """Weights float64 (N,) that count every ref once: 1 / (sentences of the ref)."""
    _, inverse, counts = np.unique(np.asarray(ref_ids), return_inverse=True, return_counts=True)
    return 1.0 / counts[inverse]


def require_pairs(n: int, *, what: str) -> None:
    """Raises SscError when there is nothing to measure."""
    if n == 0:
        raise SscError(
            f"nothing to evaluate: no ref of {what} has a ground-truth mask. Give masks (`mask` column, or annotations "
            "with segmentations) for at least one ref, or ask for another split"
        )


def _group_sums(columns: np.ndarray, groups: ArrayLike) -> np.ndarray:
    """Sums by group (G, C) of what adds up over pairs (N, C)."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, columns.shape[1]))
    np.add.at(sums, group, columns)
    return sums


def _interval(sums: np.ndarray, figures: Callable[[np.ndarray], np.ndarray], *, samples: int, seed: int) -> np.ndarray:
    """Ends (2, F) of the intervals of ``figures`` (B, C) -> (B, F), groups (G, C) drawn with replacement."""
    n_groups = len(sums)
    rng = np.random.default_rng(seed)
    share = np.full(n_groups, 1 / n_groups)
    at_once = max(1, _DRAWS_AT_ONCE // n_groups)
    drawn = [
        figures(rng.multinomial(n_groups, share, size=min(at_once, samples - done)) @ sums)
        for done in range(0, samples, at_once)
    ]
    tail = 100 * (1 - CONFIDENCE) / 2
    return np.percentile(np.concatenate(drawn), [tail, 100 - tail], axis=0)


def _differences(sums: np.ndarray) -> np.ndarray:
    """Sums (B, 7) of two choices' intersections, unions and IoUs and of ones, to gains (B, 2) in percent."""
    ours, theirs, count = sums[:, 0:3], sums[:, 3:6], sums[:, 6]
    oiou = ours[:, 0] / np.maximum(ours[:, 1], 1) - theirs[:, 0] / np.maximum(theirs[:, 1], 1)
    return 100 * np.column_stack([oiou, (ours[:, 2] - theirs[:, 2]) / count])


def _columns(overlaps: Overlaps) -> np.ndarray:
    """What adds up over pairs, float64 (N, 4 + thresholds): intersection, union, IoU, one, IoU >= t."""
    ious = overlaps.ious
    # I >= t * U would decide exact thresholds such as 6 / 10 by its own rounding: divide, as published
    hits = ious[:, None] >= np.asarray(THRESHOLDS)
    return np.column_stack([overlaps.intersections, overlaps.unions, ious, np.ones(len(ious)), hits]).astype(np.float64)


def _figures(sums: np.ndarray) -> np.ndarray:
    """Column sums (B, 4 + T) to percentages (B, 2 + T): oIoU, mIoU, precisions. Nothing measured gives 0."""
    union, count = (np.where(column > 0, column, 1) for column in (sums[:, 1], sums[:, 3]))
    means = sums[:, [2, *range(4, sums.shape[1])]] / count[:, None]
    # sums of a matrix product may round differently by column
    return np.minimum(100 * np.column_stack([sums[:, 0] / union, means]), 100)


def _named(figures: np.ndarray) -> dict[str, Any]:
    values = figures.tolist()
    return {
        "oIoU": values[0],
        "mIoU": values[1],
        "precision": {str(t): value for t, value in zip(THRESHOLDS, values[2:], strict=True)},
    }
