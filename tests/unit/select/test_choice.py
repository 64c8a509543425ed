from __future__ import annotations

import numpy as np
import pytest

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.errors import SscError
from ssc_core.masks.candidates import Candidates
from ssc_core.masks.choice import NONE, eligible
from ssc_core.select.choice import choose, mean_scores
from ssc_core.select.stage import ScoredRef, select_image

BIG = 1000


def pick(scores, areas, ref_id=1, **settings) -> int:
    scores = np.array(scores, dtype=np.float32).reshape(len(scores), len(areas))
    compat = CompatSettings(blind_to_size=settings.pop("blind_to_size", False))
    return choose(scores, np.array(areas), SelectSettings(**settings), compat, ref_id=ref_id)


@pytest.mark.parametrize(
    ("scores", "areas", "expected"),
    [
        pytest.param([[]], [], NONE, id="no candidate"),
        pytest.param([[20]], [3], 0, id="one, whatever its size"),
        pytest.param([[20, 30]], [499, 499], NONE, id="all too small"),
        pytest.param([[20, 30]], [500, 499], 0, id="500 is large enough, 499 is not"),
        pytest.param([[20, 30, 25]], [BIG, BIG, BIG], 1, id="highest"),
        pytest.param([[30, 20, 30, 10]], [BIG] * 4, 2, id="equal: the last"),
        pytest.param([[30, 20, 30, 30]], [BIG, BIG, BIG, 10], 2, id="equal: the last that is large enough"),
        pytest.param([[10, 30], [40, 15]], [BIG, BIG], 0, id="mean over sentences: 25 to 22.5"),
    ],
)
def test_published_rule(scores, areas, expected):
    assert pick(scores, areas) == expected


def test_min_area_is_a_setting():
    assert pick([[20, 30]], [50, 10], min_area=20) == 0
    assert pick([[20, 30]], [50, 10], min_area=0) == 1


@pytest.mark.parametrize(("areas", "expected"), [([], NONE), ([3], 0), ([10, BIG, BIG], 1), ([10, 10], NONE)])
def test_first_is_the_first_that_is_large_enough(areas, expected):
    assert pick(np.zeros((1, len(areas))), areas, choice="first") == expected


def test_compat_blind_to_size_lets_random_and_first_take_small_ones():
    for smallest in (10, 0):
        assert pick(np.zeros((1, 3)), [smallest, BIG, BIG], choice="first", blind_to_size=True) == 0
    taken = {pick(np.zeros((1, 2)), [10, 20], ref, choice="random", blind_to_size=True) for ref in range(50)}
    assert taken == {0, 1}
    assert pick([[20, 30]], [BIG, 499], blind_to_size=True) == 0, "the score still skips them"


def test_random_depends_on_seed_and_ref_alone():
    areas = [BIG] * 5
    picks = {ref: pick(np.zeros((2, 5)), areas, ref, choice="random") for ref in range(200)}
    again = {ref: pick(np.ones((2, 5)), areas, ref, choice="random") for ref in reversed(range(200))}
    other = {ref: pick(np.zeros((2, 5)), areas, ref, choice="random", seed=1) for ref in range(200)}
    seed_3 = [pick(np.zeros((1, 5)), areas, ref, choice="random", seed=3) for ref in range(12)]
    assert seed_3 == [4, 4, 4, 1, 0, 0, 2, 2, 0, 1, 0, 2], "labels of an earlier version are another choice"
    assert picks == again
    assert picks != other
    assert np.bincount(list(picks.values()), minlength=5).min() > 20


def test_random_never_takes_what_is_too_small():
    assert {pick(np.zeros((1, 3)), [10, BIG, BIG], ref, choice="random") for ref in range(50)} == {1, 2}


def test_eligible():
    assert eligible(np.array([3]), 500).tolist() == [True]
    assert eligible(np.array([3, 500]), 500).tolist() == [False, True]
    assert eligible(np.array([], dtype=int), 500).tolist() == []


def test_mean_scores_and_zeros_without_sentences():
    assert mean_scores(np.array([[10, 30], [40, 15]], np.float32)).tolist() == [25, 22.5]
    assert mean_scores(np.zeros((0, 3))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nothing_is_chosen_by_scores_that_are_not_finite(wrong):
    with pytest.raises(SscError, match="ref 7 has scores that are not finite"):
        pick([[wrong, 20, 30]], [BIG] * 3, ref_id=7)
    assert pick([[wrong, 20, 30]], [BIG] * 3, choice="first") == 0


@pytest.mark.parametrize("assignment", ["independent", "joint"])
def test_no_choice_of_a_photo_is_made_by_scores_that_are_not_finite(assignment):
    candidates, areas = Candidates((40, 60), np.arange(2), np.zeros((2, 4)), [b"", b""]), np.array([BIG, BIG])
    values = {1: [1, 2], 7: [np.nan, 2]}
    refs = [ScoredRef(ref, candidates, np.array([row], np.float32), areas) for ref, row in values.items()]
    with pytest.raises(SscError, match="ref 7 has scores that are not finite"):
        list(select_image(refs, SelectSettings(assignment=assignment), CompatSettings()))
