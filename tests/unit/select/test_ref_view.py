from __future__ import annotations

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.drawing.style import PICK, TRUTH
from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.reviews import Decision, Review, append_review
from ssc_core.report import ref_view
from ssc_core.report.examples import mask_iou
from ssc_core.report.ref_view import RefView, read_view, render_ref
from ssc_core.report.sheet import LINE
from ssc_core.select.score_stage import score_candidates
from ssc_core.select.stage import select_masks


@pytest.fixture
def files(world):
    """scores.h5 and selected.h5 of the little world."""
    scores, selected = world.folder / "scores.h5", world.folder / "selected.h5"
    common = {"refs": world.refs, "split": "val", "masks": world.masks}
    score_candidates(
        **common, images=world.images, out=scores, settings=world.score_settings(), compat=CompatSettings()
    )
    select_masks(**common, scores=[scores], out=selected, settings=SelectSettings(min_area=9), compat=CompatSettings())
    return {"scores": [scores], "selected": selected, "truth": world.folder / "truth.h5"}


def view_of(world, ref_id, **files) -> RefView:
    return read_view(ref_id, refs=world.refs, images=world.images, masks=world.masks, **files)


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether some pixel is about of a colour; panels are resized, so that thin lines lose a little of theirs."""
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) < 30).any())


def test_a_view_gathers_what_the_files_say(world, files):
    view = view_of(world, 1, **files)
    assert view.title == "tiny · val · ref 1 · a.png"
    assert view.sentences == ("the red square", "red")
    assert view.photo.shape == (40, 60, 3)
    assert view.masks.shape == (3, 40, 60)
    assert view.scores.shape == (2, 3)
    assert view.chosen.tolist() == [0]
    assert view.truth is None


def test_a_mask_that_a_person_drew_comes_after_the_candidates(world, files, tmp_path):
    drawn = np.zeros((40, 60), bool)
    drawn[2:9, 3:30] = True
    reviews = tmp_path / "reviews.csv"
    append_review(reviews, Review(1, "a.png", Decision.drawn, drawn.shape, rle.encode(drawn[None])[0]))
    common = {"refs": world.refs, "split": "val", "masks": world.masks, "scores": files["scores"]}
    select_masks(
        **common, out=files["selected"], settings=SelectSettings(min_area=9), compat=CompatSettings(), reviews=reviews
    )
    view = view_of(world, 1, **files)
    assert view.chosen.tolist() == [3]
    np.testing.assert_array_equal(view.masks[3], drawn)
    assert np.isnan(view.scores[:, 3]).all()
    assert np.isfinite(view.scores[:, :3]).all()
    assert has_colour(render_ref(view), PICK)
    assert (len(view.masks), len(view_of(world, 2, **files).masks)) == (4, 3)


def test_files_that_do_not_exist_yet_may_be_left_out(world):
    view = view_of(world, 1)
    assert view.scores is None
    assert view.chosen is None
    picture = render_ref(view)
    assert picture.dtype == np.uint8
    assert not has_colour(picture, PICK)


def test_an_unknown_ref_is_an_error(world):
    with pytest.raises(SscError, match="has no ref 77; it has 5 refs, from 1 to 5"):
        view_of(world, 77)


@pytest.mark.parametrize("ref_id", [1, 2, 3, 4, 5])
def test_every_ref_renders(world, files, ref_id):
    picture = render_ref(view_of(world, ref_id, **files))
    assert picture.ndim == 3
    assert has_colour(picture, PICK) == (ref_id != 4)


def test_a_ref_without_candidates_has_no_mean(world, files):
    view = view_of(world, 4, **files)
    assert ref_view._summary(view) is None
    assert ref_view._choice_name(view) == "chosen: none"
    assert "no candidates" in ref_view._footer(view, hidden=0)


def test_a_sentence_of_80_words_takes_three_lines(world, files):
    view = view_of(world, 1, **files)
    long = RefView(
        **{**{name: getattr(view, name) for name in view.__slots__}, "sentences": ("the big brown dog " * 20, "red")}
    )
    grown = render_ref(long).shape[0] - render_ref(view).shape[0]
    assert grown == pytest.approx(2 * LINE * ref_view._TEXT, abs=1)


def test_the_truth_is_outlined_where_known(world, files):
    view = view_of(world, 1, **files)
    with_truth = RefView(**{**{name: getattr(view, name) for name in view.__slots__}, "truth": view.masks[0]})
    assert has_colour(render_ref(with_truth), TRUTH)
    assert not has_colour(render_ref(view), TRUTH)
    assert ref_view._choice_name(with_truth) == "chosen: candidate 1 · IoU 1.00"


def test_many_candidates_show_the_best_and_the_chosen():
    rng = np.random.default_rng(0)
    scores = rng.permutation(30).reshape(1, 30).astype(float)
    worst = int(scores[0].argmin())
    view = RefView(
        title="many",
        photo=rng.integers(0, 255, (30, 200, 3), dtype=np.uint8),
        sentences=("a sentence of very many words " * 9,),
        masks=rng.random((30, 30, 200)) > 0.5,
        scores=scores,
        chosen=np.array([worst]),
        decisive=scores,
        truth=None,
    )
    shown = ref_view._columns_shown(view)
    assert len(shown) == ref_view.MAX_COLUMNS
    assert {worst, int(scores[0].argmax())} <= set(shown)
    assert render_ref(view).shape[1] < 2500


def test_a_choice_that_words_of_place_changed_is_told_from_the_mean(world, files):
    view = view_of(world, 1, **files)
    assert ref_view._summary(view)[0] == "mean"
    moved = RefView(**{**{name: getattr(view, name) for name in view.__slots__}, "decisive": view.decisive + 5})
    assert ref_view._summary(moved)[0] == "mean, and words of place"


def test_choices_a_sentence_mark_their_own_rows(world, files):
    view = view_of(world, 1, **files)
    each = RefView(**{**{name: getattr(view, name) for name in view.__slots__}, "chosen": np.array([0, 2])})
    marked = [
        (row, index)
        for row in range(3)
        for index in range(3)
        if ref_view._is_choice(each, index, row, has_summary=True)
    ]
    assert marked == [(0, 0), (1, 2)]
    assert ref_view._choice_name(each) == "chosen: candidate 1, candidate 3 (by sentence)"


def test_mask_iou():
    one, other = np.zeros((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool)
    assert mask_iou(one, other) == 0
    one[:, :2], other[:, 1:3] = True, True
    assert mask_iou(one, other) == pytest.approx(1 / 3)
