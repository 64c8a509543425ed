"""Metrics of referring segmentation: oIoU, mIoU and Precision@t, their bootstrap intervals and breakdowns.

All figures are percentages with full float precision. Policy for empty masks, as published: a pair whose union is
empty has IoU 0 and adds nothing to oIoU; an empty prediction of an existing object has IoU 0 and adds the object's
area to the union.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssc_core.errors import SscError

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Precision@t is the share of pairs whose IoU is at least t."""

CONFIDENCE = 0.95

_WIDTH, _COUNT = 4 + len(THRESHOLDS), 3
"""Columns of what adds up over pairs (see ``_columns``), and the one that counts them."""

_DRAWS_AT_ONCE = 400_000
"""Bounds the bootstrap's memory: images times resamples of them, 3 MB. How they are parted changes no draw."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pixels that prediction and truth share, one entry a measured pair (a sentence, or a ref).

    intersections, unions: int64 (N,), no intersection larger than its union.
    """

    intersections: np.ndarray
    unions: np.ndarray

    def __post_init__(self) -> None:
        if self.intersections.shape != self.unions.shape or self.intersections.ndim != 1:
            raise ValueError(f"shapes {self.intersections.shape} and {self.unions.shape}: both must be (N,)")
        if (self.intersections > self.unions).any():
            raise ValueError("an intersection is larger than its union")

    def __len__(self) -> int:
        return len(self.unions)

    @property
    def ious(self) -> np.ndarray:
        """float64 (N,), in 0..1; an empty union gives 0."""
        return self.intersections / np.maximum(self.unions, 1)

    def repeated(self, times: np.ndarray) -> Overlaps:
        """Every pair as often as ``times``, int (N,), says."""
        return Overlaps(self.intersections.repeat(times), self.unions.repeat(times))


class Sums:
    """Sums over pairs by label, of what figures are made of; labels are in order of first appearance.

    Pairs may come in parts: each is added to its label's sums after the one before, so parts change no bit, and memory
    grows with the labels alone.
    """

    def __init__(self, width: int = _WIDTH) -> None:
        self._place: dict[Any, int] = {}
        self._sums = np.zeros((0, width))

    def add(self, overlaps: Overlaps, labels: ArrayLike, weights: np.ndarray | None = None) -> None:
        """labels: (N,), one per pair; weights: float (N,), 1 each by default."""
        columns = _columns(overlaps)
        self.add_columns(columns if weights is None else columns * np.asarray(weights, np.float64)[:, None], labels)

    def add_columns(self, columns: np.ndarray, labels: ArrayLike) -> None:
        """What adds up over pairs, float64 (N, width)."""
        found, own = np.unique(np.asarray(labels), return_inverse=True)
        places = np.array([self._place.setdefault(label, len(self._place)) for label in found.tolist()], np.int64)
        if len(self._place) > len(self._sums):
            more = np.zeros((2 * len(self._place) - len(self._sums), self._sums.shape[1]))
            self._sums = np.concatenate([self._sums, more])
        np.add.at(self._sums, places[own], columns)

    def __len__(self) -> int:
        return len(self._place)

    def sorted(self) -> tuple[list[Any], np.ndarray]:
        """Labels in ascending order, and the sums of each (G, C)."""
        labels = sorted(self._place)
        return labels, self._sums[[self._place[label] for label in labels]]


class Tally:
    """The sums behind figures, their intervals and breakdowns: of all pairs, by image, and by the named groups."""

    def __init__(self, groups: Iterable[str] = ()) -> None:
        self.whole, self.images, self.groups = Sums(), Sums(), {name: Sums() for name in groups}

    def add(self, overlaps: Overlaps, image_ids: ArrayLike, groups: Mapping[str, ArrayLike] | None = None) -> None:
        """image_ids, and labels by name of the group: (N,), one per pair."""
        self.whole.add(overlaps, np.zeros(len(overlaps), np.int64))
        self.images.add(overlaps, image_ids)
        for name, labels in (groups or {}).items():
            self.groups[name].add(overlaps, labels)


def summarise(whole: Sums) -> dict[str, Any]:
    """``{oIoU, mIoU, precision: {"0.5": ...}}`` in percent, of sums that have one label.

    oIoU = sum of w I / sum of w U; mIoU = mean of I / U under w; Precision@t = share of w with I / U >= t. Weights w
    are 1 by default; ``ref_weights`` counts every ref once.
    """
    _, sums = whole.sorted()
    return _named(_figures(sums if len(sums) else np.zeros((1, _WIDTH)))[0])


def bootstrap(tables: Sequence[Sums], *, samples: int, seed: int) -> list[dict[str, Any]]:
    """95 % percentile intervals ``{oIoU: [low, high], mIoU: [...], precision: {"0.5": [...]}}`` of each, in percent.

    tables: sums by image, which all have the same images. Whole images are drawn with replacement, since sentences of
    one image are not independent: as many as there are, ``samples`` times, and the same for all tables. Efron &
    Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    if samples < 1:
        raise ValueError("samples must be at least 1")
    sums = [table.sorted()[1] for table in tables]
    return [_named(ends.T) for ends in _intervals(sums, _figures, samples=samples, seed=seed)]


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
    by_group = Sums(len(columns) + 1)
    by_group.add_columns(np.column_stack([*columns, np.ones(len(ours))]), groups)
    _, sums = by_group.sorted()
    values = _differences(sums.sum(axis=0, keepdims=True))[0].tolist()
    if samples == 0:
        return [Figure(value) for value in values]
    bounds = _intervals([sums], _differences, samples=samples, seed=seed)[0].tolist()
    return [Figure(value, low, high) for value, low, high in zip(values, *bounds, strict=True)]


def breakdown(sums: Sums, order: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Figures by label: ``{label: {n, oIoU, mIoU, P@0.5}}``, in ``order`` without absent labels, else biggest first."""
    labels, table = sums.sorted()
    figures = dict(zip(labels, map(_named, _figures(table)), strict=True))
    counts = dict(zip(labels, table[:, _COUNT].astype(int).tolist(), strict=True))
    names = sorted(labels, key=lambda name: (-counts[name], name)) if order is None else order
    return {
        name: {
            "n": counts[name],
            "oIoU": figures[name]["oIoU"],
            "mIoU": figures[name]["mIoU"],
            "P@0.5": figures[name]["precision"]["0.5"],
        }
        for name in names
        if name in figures
    }


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


def _intervals(
    tables: Sequence[np.ndarray], figures: Callable[[np.ndarray], np.ndarray], *, samples: int, seed: int
) -> list[np.ndarray]:
    """Ends (2, F) of the intervals of ``figures`` (B, C) -> (B, F) of each table (G, C), groups drawn with replacement.

    Drawing takes longer than all else, so it is done once for all tables.
    """
    n_groups = len(tables[0])
    rng = np.random.default_rng(seed)
    share = np.full(n_groups, 1 / n_groups)
    at_once = max(1, _DRAWS_AT_ONCE // n_groups)
    drawn: list[list[np.ndarray]] = [[] for _ in tables]
    for done in range(0, samples, at_once):
        times = rng.multinomial(n_groups, share, size=min(at_once, samples - done)).astype(np.float64)
        for own, sums in zip(drawn, tables, strict=True):
            own.append(figures(times @ sums))
    tail = 100 * (1 - CONFIDENCE) / 2
    return [np.percentile(np.concatenate(own), [tail, 100 - tail], axis=0) for own in drawn]


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
    return 100 * np.column_stack([sums[:, 0] / union, means])


def _named(figures: np.ndarray) -> dict[str, Any]:
    values = figures.tolist()
    return {
        "oIoU": values[0],
        "mIoU": values[1],
        "precision": {str(t): value for t, value in zip(THRESHOLDS, values[2:], strict=True)},
    }
