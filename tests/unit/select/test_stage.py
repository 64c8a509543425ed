from __future__ import annotations

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.compat import merge_candidates
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.select.stage import select_masks
from tests.unit.select.conftest import HEIGHT, WIDTH, box_of
from tests.unit.select.test_scoring import score_world

SCORES = {
    1: [[30, 20, 10], [22, 28, 10]],
    2: [[25, 24, 10]],
    3: [[12], [14], [16]],
    4: np.zeros((1, 0)),
    5: [[20, 19], [20, 21]],
}
AREAS = {1: [144] * 3, 2: [144] * 3, 3: [144], 4: [], 5: [4, 9]}


@pytest.fixture
def scores(world):
    path = world.folder / "scores.h5"
    info = StoreInfo(class_names=(), settings={}, code="test", models={"clip": "abc"})
    with ScoreStoreWriter(path, info) as writer:
        for ref, values in SCORES.items():
            writer.append_ref(ref, np.array(values, dtype=np.float32).reshape(len(values), len(AREAS[ref])), AREAS[ref])
    return path


def select(world, scores, *, compat=None, **settings) -> SelectionStore:
    out = world.folder / "selected.h5"
    settings, compat = SelectSettings(**{"min_area": 9, **settings}), compat or CompatSettings()
    select_masks(
        refs=world.refs,
        split="val",
        masks=world.masks,
        scores=scores if isinstance(scores, list) else [scores],
        out=out,
        settings=settings,
        compat=compat,
    )
    return SelectionStore(out)


def test_the_published_choice(world, scores):
    selected = select(world, scores)
    # rows of masks.h5: photo a 0 to 2, photo c 3 and 4; ref 5's candidate of 4 px is skipped
    assert [selected.chosen(ref) for ref in range(1, 6)] == [0, 0, 2, -1, 4]
    assert selected.choice_per == "ref"
    assert selected.scores(1).tolist() == [[26, 24, 10]]
    assert selected.info.models == {"clip": "abc"}
    with MaskStore.open(world.masks) as store:
        np.testing.assert_array_equal(selected.mask(5), store.masks([4])[0])
        np.testing.assert_array_equal(selected.mask(1), store.masks([0])[0])
    assert not selected.mask(4).any()


def test_all_too_small_is_none_and_one_is_taken_whatever_its_size(world, scores):
    selected = select(world, scores, min_area=1000)
    assert [selected.chosen(ref) for ref in range(1, 6)] == [-1, -1, 2, -1, -1]


def test_per_sentence(world, scores):
    selected = select(world, scores, per="sentence", min_area=0)
    assert selected.choice_per == "sentence"
    assert [selected.chosen(1, sentence) for sentence in (0, 1)] == [0, 1]
    assert [selected.chosen(3, sentence) for sentence in (0, 1, 2)] == [2, 2, 2]
    assert [selected.chosen(5, sentence) for sentence in (0, 1)] == [3, 4]
    assert selected.chosen(4) == -1


def test_joint_assignment_gives_refs_of_a_photo_different_candidates(world, scores):
    # refs 1 and 2 both want instance 0; ref 2 loses less by taking 1
    selected = select(world, scores, assignment="joint")
    assert [selected.chosen(ref) for ref in range(1, 6)] == [0, 1, 2, -1, 4]


def test_joint_per_sentence(world, scores):
    selected = select(world, scores, assignment="joint", per="sentence")
    assert [selected.chosen(1, sentence) for sentence in (0, 1)] == [0, 1]
    assert selected.chosen(2) == 1
    assert selected.choices(3) == 3


def test_the_spatial_term_counts_by_its_weight(world, scores):
    world.edit_refs(
        lambda table: table.assign(sentence=table["sentence"].where(table["ref_id"] != 2, "square on the right"))
    )
    assert select(world, scores).chosen(2) == 0
    assert select(world, scores, spatial_weight=1).chosen(2) == 0
    assert select(world, scores, spatial_weight=10).chosen(2) == 1  # halfway to the right: 24 + 5
    assert select(world, scores, spatial_weight=40).chosen(2) == 2
    assert select(world, scores, spatial_weight=40).chosen(1) == 0


def test_the_spatial_term_compares_only_candidates_that_are_large_enough(world, scores):
    world.edit_refs(lambda table: table.assign(sentence="left"))
    assert select(world, scores, spatial_weight=40, min_area=0).chosen(5) == 3
    selected = select(world, scores, spatial_weight=40, min_area=9)
    assert selected.chosen(5) == 4
    assert selected.scores(5).tolist() == [[20, 20]]


@pytest.mark.parametrize("choice", ["random", "first"])
def test_other_choices(world, scores, choice):
    selected = select(world, scores, choice=choice)
    chosen = [selected.chosen(ref) for ref in range(1, 6)]
    assert chosen[2:] == [2, -1, 4]
    assert {*chosen[:2]} <= {0, 1, 2}
    if choice == "first":
        assert chosen[:2] == [0, 0]


def test_scores_of_other_masks_are_refused(world):
    path = world.folder / "scores.h5"
    with ScoreStoreWriter(path, StoreInfo(class_names=(), settings={}, code="test", models={})) as writer:
        for ref in range(1, 6):
            writer.append_ref(ref, np.zeros((1, 2)), np.array([9, 9]))
    with pytest.raises(SscError, match=r"ref 1: 1 sentences and 2 candidates were scored, but it has 2 and 3"):
        select(world, path)
    assert not (world.folder / "selected.h5").exists()


def test_scores_that_lack_a_ref_are_refused(world):
    path = world.folder / "scores.h5"
    with ScoreStoreWriter(path, StoreInfo(class_names=(), settings={}, code="test", models={})) as writer:
        writer.append_ref(99, np.zeros((1, 2)), np.array([9, 9]))
    with pytest.raises(SscError, match=r"scores\.h5 is of other rows than .*refs\.parquet"):
        select(world, path)


def test_scores_and_choices_say_of_which_rows_they_are(world):
    table = TableRefs(world.refs, "val")
    own = table.digest(np.arange(1, 6))
    scored = score_world(world)
    assert scored.info.refs == own
    assert select(world, scored.path).info.refs == own
    world.edit_refs(lambda table: table.assign(sentence=table["sentence"].str.upper()))
    with pytest.raises(SscError, match=r"scores\.h5 is of other rows than .*refs\.parquet"):
        select(world, scored.path)


def test_masks_of_other_rows_are_refused(world, scores):
    world.masks = world.folder / "moved.h5"
    with MaskStoreWriter(world.masks, StoreInfo((), {}, "", {}, "f" * 16), with_masks=True):
        pass
    for made in (lambda: select(world, scores), lambda: score_world(world, name="others.h5")):
        with pytest.raises(SscError, match=r"moved\.h5 is of other rows than .*refs\.parquet"):
            made()


OVERLAPPING = (
    ((0, 40), (0, 60)),  # all of the photo
    ((2, 20), (2, 40)),  # over the red and the green square
    ((2, 20), (22, 58)),  # over the green and the blue one
    ((4, 16), (24, 36)),  # the green one
    ((5, 7), (5, 7)),  # a speck of the red one, under
    ((4, 16), (4, 16)),  # the red one
)
"""First and last row, and column, of candidates of refs 1 to 3."""


def test_merged_masks_are_what_is_scored_and_chosen(world):
    """Published: Select reads the picture of a ref's candidates. So it does with masks.h5 that was merged before."""
    masks = np.zeros((len(OVERLAPPING), HEIGHT, WIDTH), bool)
    for mask, ((top, bottom), (left, right)) in zip(masks, OVERLAPPING, strict=True):
        mask[top:bottom, left:right] = True
    merged = merge_candidates(masks)
    shown = merged[merged.any((1, 2))]
    assert len(shown) == 4, "the covering one and the speck are not in the picture"

    def selected(masks, compat):
        world.masks = world.folder / "overlapping.h5"
        info = StoreInfo(class_names=("thing",), settings={}, code="test", models={})
        with MaskStoreWriter(world.masks, info, with_masks=True) as writer:
            writer.append_image(
                1, (HEIGHT, WIDTH), boxes_xyxy=np.array([box_of(mask) for mask in masks]),
                box_scores=np.ones(len(masks)), labels=np.zeros(len(masks)), rles=rle.encode(masks),
                mask_scores=np.ones(len(masks)), candidates={ref: np.arange(len(masks)) for ref in (1, 2, 3)},
            )  # fmt: skip
        scores = score_world(world, compat=compat)
        chosen = select(world, scores.path, compat=compat)
        return [(scores.scores(ref), scores.areas(ref), chosen.mask(ref), chosen.scores(ref)) for ref in (1, 2, 3)]

    switched = selected(masks, CompatSettings(merged_masks=True))
    before = selected(shown, CompatSettings())
    mended = selected(masks, CompatSettings())
    for found, expected in zip(switched, before, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert any((found[2] != unmerged[2]).any() for found, unmerged in zip(switched, mended, strict=True))
    assert ScoreStore(world.folder / "scores.h5").merged_masks is False


def test_the_files_say_whether_their_candidates_were_merged(world):
    compat = CompatSettings(merged_masks=True)
    scores = score_world(world, compat=compat)
    assert scores.merged_masks and select(world, scores.path, compat=compat).merged_masks
