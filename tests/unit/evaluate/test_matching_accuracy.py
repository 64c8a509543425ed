from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssc_core.config.labelling import CompatSettings
from ssc_core.errors import SscError
from ssc_core.evaluate.matching_accuracy import matching_accuracy
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from tests.unit.evaluate.conftest import SIZE, Truths, box

LEFT, RIGHT, SLIVER = box(0, 0, 4, 4), box(6, 0, 10, 4), box(0, 0, 1, 4)
WIDE = box(1, 0, 10, 4)


@pytest.fixture
def masks(tmp_path: Path) -> MaskStore:
    """Refs 1 and 2 have the left and the right box, ref 3 the right one alone, ref 4 a bad mask alone; ref 6 the left
    one and one that hides most of it."""
    path = tmp_path / "masks.h5"
    with MaskStoreWriter(path, StoreInfo(("cat",), {}, "", {}), with_masks=True) as writer:
        for image_id, found, candidates in (
            (1, [LEFT, RIGHT], {1: [0, 1], 2: [0, 1], 3: [1]}),
            (2, [SLIVER], {4: [0], 5: []}),
            (3, [LEFT, WIDE], {6: [0, 1]}),
        ):
            n = len(found)
            writer.append_image(
                image_id, SIZE, boxes_xyxy=np.zeros((n, 4)), box_scores=np.ones(n), labels=np.zeros(n),
                rles=rle.encode(np.array(found)), mask_scores=np.ones(n), candidates=candidates,
            )  # fmt: skip
    return MaskStore(path)


OFF = CompatSettings()
TRUTH = Truths({1: LEFT, 2: RIGHT, 3: RIGHT, 4: LEFT, 6: LEFT})


def table(*rows: tuple[int, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["epoch", "ref_id", "candidate"])


def test_accuracy_by_hand(masks: MaskStore) -> None:
    first = [(0, 1, 1), (0, 2, 0), (0, 3, 0), (0, 4, 0)]
    second = [(1, 1, 0), (1, 2, -1), (1, 3, 0), (1, 4, 0)]
    found = matching_accuracy(table(*first, *second), masks, TRUTH, OFF)
    assert found.to_dict("list") == {
        "epoch": [0, 1],
        "pairs": [4, 4],
        "accuracy": [0.25, 0.5],
        "with_choice": [2, 2],
        "accuracy_with_choice": [0.0, 0.5],
    }


def test_a_ref_without_ground_truth_is_not_right(masks: MaskStore) -> None:
    assert matching_accuracy(table((0, 1, 0), (0, 1, 1)), masks, Truths({}), OFF).accuracy.tolist() == [0.0]


def test_a_candidate_is_the_true_object_from_half_an_iou_on(masks: MaskStore) -> None:
    truth = box(0, 0, 4, 8)  # twice the left box
    assert matching_accuracy(table((0, 1, 0)), masks, Truths({1: truth}), OFF).accuracy.tolist() == [1.0]
    truth[0, 9] = True
    assert matching_accuracy(table((0, 1, 0)), masks, Truths({1: truth}), OFF).accuracy.tolist() == [0.0]


def test_no_ref_has_a_choice(masks: MaskStore) -> None:
    found = matching_accuracy(table((0, 3, 0)), masks, TRUTH, OFF)
    assert found.accuracy.tolist() == [1.0]
    assert found.with_choice.tolist() == [0]
    assert found.accuracy_with_choice.isna().all()


def test_a_mask_that_was_drawn_for_a_ref_without_candidates_is_none_of_them(masks: MaskStore) -> None:
    found = matching_accuracy(table((0, 5, 0)), masks, Truths({5: LEFT}), OFF)
    assert found.accuracy.tolist() == [0.0]


def test_matches_of_other_masks_are_refused(masks: MaskStore) -> None:
    with pytest.raises(SscError, match="ref 3 was matched with a candidate that it does not have"):
        matching_accuracy(table((0, 3, 1)), masks, TRUTH, OFF)


@pytest.mark.parametrize(
    ("switches", "accuracy"), [({}, 1.0), ({"merged_masks": True}, 0.0), ({"palette_targets": True}, 0.0)]
)
def test_what_hides_a_candidate_counts_as_in_training(
    masks: MaskStore, switches: dict[str, bool], accuracy: float
) -> None:
    found = matching_accuracy(table((0, 6, 0)), masks, TRUTH, CompatSettings(**switches))
    assert found.accuracy.tolist() == [accuracy]


def test_published_defects_change_the_candidates_here_too(masks: MaskStore) -> None:
    """Palette mode numbers by size: of two equal boxes the order is its own, but one of both is the true one."""
    matches = table((0, 1, 0), (1, 1, 1))
    found = matching_accuracy(matches, masks, TRUTH, CompatSettings(palette_targets=True))
    assert sorted(found.accuracy.tolist()) == [0.0, 1.0]
