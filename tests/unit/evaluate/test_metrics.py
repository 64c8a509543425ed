from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ssc_core.errors import SscError
from ssc_core.evaluate import metrics
from ssc_core.evaluate.metrics import (
    THRESHOLDS,
    Figure,
    Overlaps,
    Sums,
    paired_gains,
    ref_weights,
    require_pairs,
)


def make(*pairs: tuple[int, int]) -> Overlaps:
    return Overlaps(*np.array(pairs, np.int64).reshape(-1, 2).T)


def sums(overlaps: Overlaps, labels: ArrayLike, weights: np.ndarray | None = None, parts: int = 3) -> Sums:
    """As they come from a split: in parts."""
    found = Sums()
    for rows in np.array_split(np.arange(len(overlaps)), parts):
        part = Overlaps(overlaps.intersections[rows], overlaps.unions[rows])
        found.add(part, np.asarray(labels)[rows], None if weights is None else weights[rows])
    return found


def summarise(overlaps: Overlaps, weights: np.ndarray | None = None) -> dict[str, Any]:
    return metrics.summarise(sums(overlaps, np.zeros(len(overlaps)), weights))


def bootstrap(overlaps: Overlaps, groups: ArrayLike, *, samples: int, seed: int) -> dict[str, Any]:
    return metrics.bootstrap([sums(overlaps, groups)], samples=samples, seed=seed)[0]


def breakdown(overlaps: Overlaps, labels: ArrayLike, order: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    return metrics.breakdown(sums(overlaps, labels), order)


def test_literal_figures() -> None:
    figures = summarise(make((1, 2), (9, 10), (0, 8)))
    assert figures["oIoU"] == pytest.approx(100 * 10 / 20)
    assert figures["mIoU"] == pytest.approx(100 * (0.5 + 0.9 + 0) / 3)
    assert figures["precision"] == pytest.approx(
        {"0.5": 200 / 3, "0.6": 100 / 3, "0.7": 100 / 3, "0.8": 100 / 3, "0.9": 100 / 3}
    )


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
def test_threshold_is_reached_by_equality(tenths: int) -> None:
    precision = summarise(make((tenths, 10)))["precision"]
    assert [precision[str(t)] == 100 for t in THRESHOLDS] == [tenths >= round(10 * t) for t in THRESHOLDS]


def test_empty_union_counts_zero_and_adds_nothing_to_oiou() -> None:
    figures = summarise(make((0, 0), (4, 4)))
    assert (figures["oIoU"], figures["mIoU"], figures["precision"]["0.9"]) == (100, 50, 50)


def test_nothing_measured() -> None:
    assert summarise(make())["mIoU"] == 0
    with pytest.raises(SscError, match="no ref of refcoco val has a ground-truth mask"):
        require_pairs(0, what="refcoco val")


def test_weights_count_every_ref_once() -> None:
    weights = ref_weights([7, 7, 7, 3])
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    figures = summarise(make((3, 4), (3, 4), (3, 4), (0, 8)), weights)
    assert figures["mIoU"] == pytest.approx(100 * 0.75 / 2)
    assert figures["oIoU"] == pytest.approx(100 * 3 / (4 + 8))


def test_agrees_with_a_plain_loop_on_random_masks() -> None:
    rng = np.random.default_rng(5)
    predictions = rng.random((60, 17, 23)) < rng.random((60, 1, 1))
    truths = np.where(rng.random((60, 1, 1)) < 0.5, predictions ^ (rng.random(predictions.shape) < 0.2), ~predictions)
    overlaps = make(*((int((p & t).sum()), int((p | t).sum())) for p, t in zip(predictions, truths, strict=True)))

    total_i = total_u = 0.0
    ious = []
    for p, t in zip(predictions, truths, strict=True):
        i = u = 0.0
        for a, b in zip(p.ravel().tolist(), t.ravel().tolist(), strict=True):
            i += a and b
            u += a or b
        total_i, total_u = total_i + i, total_u + u
        ious.append(i / u if u else 0.0)
    figures = summarise(overlaps)
    assert figures["oIoU"] == pytest.approx(100 * total_i / total_u, abs=1e-12)
    assert figures["mIoU"] == pytest.approx(100 * sum(ious) / len(ious), abs=1e-12)
    assert 0 < figures["precision"]["0.5"] < 100
    for t in THRESHOLDS:
        assert figures["precision"][str(t)] == pytest.approx(100 * sum(iou >= t for iou in ious) / len(ious))


def test_bootstrap_resamples_whole_images() -> None:
    """Two images, all right and all wrong: a resample holds 0, 1 or 2 of the right one, whatever their sentences."""
    overlaps = make(*[(10, 10)] * 50, *[(0, 10)] * 50)
    interval = bootstrap(overlaps, [1] * 50 + [2] * 50, samples=400, seed=0)
    assert interval["mIoU"] == [0, 100]
    independent = bootstrap(overlaps, range(100), samples=400, seed=0)
    assert 35 < independent["mIoU"][0] < 45 < 55 < independent["mIoU"][1] < 65


def test_bootstrap_matches_the_textbook_interval() -> None:
    rng = np.random.default_rng(1)
    overlaps = Overlaps(rng.integers(0, 101, 2000), np.full(2000, 100))
    low, high = bootstrap(overlaps, np.arange(2000), samples=2000, seed=3)["mIoU"]
    error = 100 * overlaps.ious.std() / np.sqrt(2000)
    mean = summarise(overlaps)["mIoU"]
    assert low == pytest.approx(mean - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.15 * error)


def test_bootstrap_is_seeded_and_independent_of_order() -> None:
    rng = np.random.default_rng(2)
    overlaps, groups = Overlaps(rng.integers(0, 9, 40), np.full(40, 9)), rng.integers(0, 12, 40)
    order = rng.permutation(40)
    first = bootstrap(overlaps, groups, samples=300, seed=4)
    again = bootstrap(
        Overlaps(overlaps.intersections[order], overlaps.unions[order]), groups[order], samples=300, seed=4
    )
    assert first["oIoU"] == pytest.approx(again["oIoU"])
    assert first != bootstrap(overlaps, groups, samples=300, seed=5)


def test_breakdown() -> None:
    groups = breakdown(make((0, 5), (1, 2), (3, 4), (0, 1)), ["dog", "pig", "pig", "cat"])
    assert list(groups) == ["pig", "cat", "dog"], "biggest first, then by name"
    assert [group["n"] for group in groups.values()] == [2, 1, 1]
    assert groups["pig"] == pytest.approx({"n": 2, "oIoU": 100 * 4 / 6, "mIoU": 62.5, "P@0.5": 100})
    assert groups["dog"]["P@0.5"] == 0
    assert list(breakdown(make((1, 2), (3, 4)), ["a", "b"], order=["b", "none", "a"])) == ["b", "a"]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        Overlaps(np.zeros(2, np.int64), np.zeros(3, np.int64))


def test_an_intersection_is_part_of_its_union() -> None:
    with pytest.raises(ValueError, match="larger than its union"):
        make((4, 8), (4, 3))


def test_paired_gains() -> None:
    ours = Overlaps(np.array([10, 10, 0]), np.array([10, 10, 10]))
    theirs = Overlaps(np.array([10, 0, 0]), np.array([10, 10, 20]))
    oiou, miou = paired_gains(ours, theirs, np.array([1, 2, 3]), samples=200, seed=0)
    assert oiou.value == pytest.approx(100 * (20 / 30 - 10 / 40))
    assert miou.value == pytest.approx(100 / 3)
    assert 0 <= miou.low <= miou.value <= miou.high <= 100
    assert paired_gains(ours, ours, np.array([1, 2, 3]), samples=50, seed=0) == [Figure(0, 0, 0)] * 2
    assert paired_gains(ours, theirs, np.array([1, 2, 3]), samples=0, seed=0)[1] == Figure(miou.value)


def test_what_is_hard_for_both_cancels_out() -> None:
    rng = np.random.default_rng(0)
    intersections = rng.integers(0, 90, 400)
    ours, theirs = (Overlaps(intersections + more, np.full(400, 100)) for more in (5, 0))
    gain = paired_gains(ours, theirs, np.arange(400), samples=300, seed=0)[1]
    assert (gain.value, gain.low, gain.high) == pytest.approx((5, 5, 5))


def test_parts_and_shared_draws_change_no_bit() -> None:
    """Against sums over all pairs at once, and images drawn for one table alone."""
    rng = np.random.default_rng(6)
    unions = rng.integers(0, 1000, 3000)
    overlaps, images = Overlaps(rng.integers(0, unions + 1), unions), rng.permutation(np.arange(3000) // 3)
    hits = overlaps.ious[:, None] >= np.asarray(THRESHOLDS)
    columns = np.column_stack([overlaps.intersections, unions, overlaps.ious, np.ones(3000), hits]).astype(float)
    whole, by_image = columns.sum(axis=0), np.zeros((1000, columns.shape[1]))
    np.add.at(by_image, images, columns)
    drawn = np.random.default_rng(7).multinomial(1000, np.full(1000, 1 / 1000), size=40) @ by_image
    low, high = np.percentile(100 * (drawn[:, 0] / drawn[:, 1]), [2.5, 97.5])

    assert summarise(overlaps)["mIoU"] == 100 * (whole[2] / whole[3])
    both = metrics.bootstrap([sums(overlaps, images, parts=7), sums(overlaps, images)], samples=40, seed=7)
    assert both[0] == both[1]
    assert both[0]["oIoU"] == [low, high]
