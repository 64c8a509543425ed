from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ssc_core.correct.items import build_items
from ssc_core.correct.matching import greedy
from ssc_core.correct.targets import CandidateTargets, SelectedTargets, TruthTargets
from ssc_core.masks import rle
from ssc_core.masks.choice import DRAWN
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import SelectionWriter
from ssc_core.masks.store import MaskStoreWriter
from ssc_core.refer.ref import Ref
from ssc_core.refer.truth import TruthMask, write_truth

SMALL = np.zeros((6, 8), dtype=bool)
SMALL[1:3, 1:4] = True
BIG = np.ones((6, 8), dtype=bool)
BIG[0] = False
INFO = StoreInfo(("box",), {}, "0", {})


def ref(ref_id: int) -> Ref:
    return Ref(ref_id, 1, 4, "a.png", 6, 8, "train", 1, "box", (1, 2), ("one", "two"))


@pytest.fixture
def masks_h5(tmp_path):
    path = tmp_path / "masks.h5"
    with MaskStoreWriter(path, INFO, with_masks=True) as writer:
        writer.append_image(
            4, (6, 8), boxes_xyxy=np.zeros((2, 4)), box_scores=np.ones(2), labels=np.zeros(2, int),
            rles=rle.encode(np.stack([SMALL, BIG])), mask_scores=np.ones(2), candidates={1: [0, 1], 2: [1], 3: []},
        )  # fmt: skip
    return path


def test_all_candidates_overlaps_kept(masks_h5):
    targets = CandidateTargets(masks_h5)
    (masks,) = targets.masks(ref(1))
    assert np.array_equal(masks, np.stack([SMALL, BIG]))
    assert np.array_equal(targets.masks(ref(2))[0], BIG[None])
    assert len(targets.masks(ref(3))[0]) == 0
    assert targets.corrupted == 0


def test_merged_candidates_lose_what_lies_below(masks_h5):
    (masks,) = CandidateTargets(masks_h5, merged=True).masks(ref(1))
    assert not masks[0].any()
    assert np.array_equal(masks[1], BIG)


def test_palette_inverts_what_covers_over_half(masks_h5):
    targets = CandidateTargets(masks_h5, palette=True)
    (masks,) = targets.masks(ref(2))
    assert np.array_equal(masks, ~BIG[None])
    assert targets.corrupted == 1


@pytest.mark.parametrize("palette", [False, True])
def test_what_select_chose(tmp_path, palette):
    with SelectionWriter(tmp_path / "s.h5", INFO) as writer:
        for ref_id, mask in ((1, SMALL), (2, BIG), (3, None)):
            codes = [None if mask is None else rle.encode(mask[None])[0]]
            chosen = [-1 if mask is None else 0]
            writer.append_ref(ref_id, image_id=4, size=(6, 8), chosen=chosen, scores=np.zeros((1, 1)), rles=codes)
    targets = SelectedTargets(tmp_path / "s.h5", palette=palette)
    assert np.array_equal(targets.masks(ref(1))[0], SMALL[None])
    assert np.array_equal(targets.masks(ref(2))[0], (~BIG if palette else BIG)[None])
    assert len(targets.masks(ref(3))[0]) == 0
    assert targets.corrupted == (1 if palette else 0)


def test_a_choice_for_each_sentence(tmp_path):
    with SelectionWriter(tmp_path / "s.h5", INFO, choice_per="sentence") as writer:
        codes = rle.encode(np.stack([SMALL, BIG]))
        writer.append_ref(1, image_id=4, size=(6, 8), chosen=[0, 1], scores=np.zeros((2, 2)), rles=codes)
    first, second = SelectedTargets(tmp_path / "s.h5").masks(ref(1))
    assert np.array_equal(first, SMALL[None])
    assert np.array_equal(second, BIG[None])


def test_a_ref_whose_masks_are_changed_is_counted_once_however_many_sentences_it_has(tmp_path):
    with SelectionWriter(tmp_path / "s.h5", INFO, choice_per="sentence") as writer:
        codes = rle.encode(np.stack([BIG, SMALL, BIG]))
        writer.append_ref(1, image_id=4, size=(6, 8), chosen=[0, 1, 0], scores=np.zeros((3, 2)), rles=codes)
        writer.append_ref(2, image_id=4, size=(6, 8), chosen=[-1] * 3, scores=np.zeros((3, 0)), rles=[None] * 3)
    targets = SelectedTargets(tmp_path / "s.h5", palette=True)
    changed, kept, _ = targets.masks(replace(ref(1), sentences=("a", "b", "c")))
    assert np.array_equal(changed, ~BIG[None])
    assert np.array_equal(kept, SMALL[None])
    assert [len(masks) for masks in targets.masks(replace(ref(2), sentences=("a", "b", "c")))] == [0, 0, 0]
    assert targets.corrupted == 1


def test_ground_truth(tmp_path):
    write_truth(tmp_path / "t.h5", [TruthMask(1, 6, 8, rle.encode(BIG[None])[0])])
    targets = TruthTargets(tmp_path / "t.h5")
    assert np.array_equal(targets.masks(ref(1))[0], BIG[None])
    assert len(targets.masks(ref(2))[0]) == 0


def test_what_people_decided_is_all_that_a_ref_may_be(tmp_path, masks_h5):
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[1, 3]) as writer:
        big = rle.encode(BIG[None])
        for ref_id, chosen, count in ((1, 1, 2), (2, 1, 1), (3, -1, 0)):
            rles = [None] if chosen < 0 else big
            writer.append_ref(ref_id, image_id=4, size=(6, 8), chosen=[chosen], scores=np.zeros((1, count)), rles=rles)
    targets = CandidateTargets(masks_h5, reviewed=tmp_path / "s.h5")
    (masks,) = targets.masks(ref(1))
    assert not masks[0].any()  # emptied, so that the other keeps its place
    assert np.array_equal(masks[1], BIG)
    assert np.array_equal(targets.masks(ref(2))[0], BIG[None])
    assert len(targets.masks(ref(3))[0]) == 0


def test_a_ref_that_is_none_of_its_candidates_is_not_trained_on(tmp_path, masks_h5):
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[1]) as writer:
        writer.append_ref(1, image_id=4, size=(6, 8), chosen=[-1], scores=np.zeros((1, 2)), rles=[None])
    assert len(CandidateTargets(masks_h5, reviewed=tmp_path / "s.h5").masks(ref(1))[0]) == 0


def drawn_h5(tmp_path, drawn):
    """selected.h5 of refs 1 to 3, for the first of which a person drew."""
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[1]) as writer:
        for ref_id, chosen, mask, count in ((1, DRAWN, drawn, 2), (2, 1, BIG, 1), (3, -1, None, 0)):
            rles = [None if mask is None else rle.encode(mask[None])[0]]
            writer.append_ref(ref_id, image_id=4, size=(6, 8), chosen=[chosen], scores=np.zeros((1, count)), rles=rles)
    return tmp_path / "s.h5"


def test_a_drawn_mask_stands_for_the_candidate_that_is_the_same_object(tmp_path, masks_h5):
    drawn = BIG.copy()
    drawn[1] = False
    targets = CandidateTargets(masks_h5, reviewed=drawn_h5(tmp_path, drawn))
    (masks,) = targets.masks(ref(1))
    assert not masks[0].any()
    assert np.array_equal(masks[1], drawn)
    assert np.array_equal(targets.masks(ref(2))[0], drawn[None])  # so that matching knows it is taken
    assert np.array_equal(SelectedTargets(tmp_path / "s.h5").masks(ref(1))[0], drawn[None])


def test_a_drawn_mask_that_no_candidate_is_like_is_its_refs_alone(tmp_path, masks_h5):
    drawn = np.zeros_like(BIG)
    drawn[0] = True
    targets = CandidateTargets(masks_h5, reviewed=drawn_h5(tmp_path, drawn))
    (masks,) = targets.masks(ref(1))
    assert np.array_equal(masks, np.stack([drawn, np.zeros_like(BIG)]))
    assert np.array_equal(targets.masks(ref(2))[0], BIG[None])


def test_a_ref_without_candidates_is_trained_on_what_was_drawn(tmp_path, masks_h5):
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[3]) as writer:
        code = rle.encode(SMALL[None])
        writer.append_ref(3, image_id=4, size=(6, 8), chosen=[DRAWN], scores=np.zeros((1, 0)), rles=code)
        for other in (1, 2):
            writer.append_ref(other, image_id=4, size=(6, 8), chosen=[-1], scores=np.zeros((1, 0)), rles=[None])
    assert np.array_equal(CandidateTargets(masks_h5, reviewed=tmp_path / "s.h5").masks(ref(3))[0], SMALL[None])


def tokens(sentences):
    ids = np.zeros((len(sentences), 2), dtype=np.int64)
    return ids, np.ones_like(ids)


def test_matching_takes_a_decision_for_certain_and_keeps_it_from_the_others(tmp_path):
    path = tmp_path / "two.h5"
    with MaskStoreWriter(path, INFO, with_masks=True) as writer:
        writer.append_image(
            4, (6, 8), boxes_xyxy=np.zeros((2, 4)), box_scores=np.ones(2), labels=np.zeros(2, int),
            rles=rle.encode(np.stack([SMALL, BIG])), mask_scores=np.ones(2), candidates={1: [0, 1], 2: [0, 1]},
        )  # fmt: skip
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[1]) as writer:
        for ref_id, row, mask in ((1, 1, BIG), (2, 1, BIG)):
            code = rle.encode(mask[None])
            writer.append_ref(ref_id, image_id=4, size=(6, 8), chosen=[row], scores=np.zeros((1, 2)), rles=code)

    def matched(reviewed):
        targets = CandidateTargets(path, reviewed=reviewed)
        items = build_items(
            [(4, [ref(1), ref(2)])], targets, tokens, lambda name: np.zeros((8, 8, 3), np.uint8), side=8
        )
        refs = items.images[0].refs
        iou = np.zeros((2, 2))
        for line, one, of_small, of_big in zip(iou, refs, (0.8, 0.1), (0.2, 0.9), strict=True):
            for row, source in zip(one.rows[0], one.sources[0], strict=True):
                line[row] = (of_small, of_big)[source]
        got = greedy(np.array([4, 4]), np.array([1, 2]), iou, [one.rows[0] for one in refs])
        return [
            int(one.sources[0][one.rows[0].tolist().index(row)]) if row >= 0 else -1
            for one, row in zip(refs, got.rows.tolist(), strict=True)
        ]

    assert matched(None) == [0, 1]
    assert matched(tmp_path / "s.h5") == [1, 0]


def test_a_decision_is_trained_on_also_where_palettes_put_masks_in_another_order(tmp_path):
    """Palette mode orders its targets by size, so that the place of a choice among candidates means nothing there."""
    rest = BIG & ~SMALL
    with MaskStoreWriter(tmp_path / "m.h5", INFO, with_masks=True) as writer:
        writer.append_image(
            4, (6, 8), boxes_xyxy=np.zeros((2, 4)), box_scores=np.ones(2), labels=np.zeros(2, int),
            rles=rle.encode(np.stack([SMALL, rest])), mask_scores=np.ones(2), candidates={1: [0, 1]},
        )  # fmt: skip
    with SelectionWriter(tmp_path / "s.h5", INFO, reviewed=[1]) as writer:
        codes = rle.encode(SMALL[None])
        writer.append_ref(1, image_id=4, size=(6, 8), chosen=[0], scores=np.zeros((1, 2)), rles=codes)
    targets = CandidateTargets(tmp_path / "m.h5", palette=True, reviewed=tmp_path / "s.h5")
    (masks,) = targets.masks(ref(1))
    assert [mask.tolist() for mask in masks if mask.any()] == [SMALL.tolist()]
    assert targets.corrupted == 0
