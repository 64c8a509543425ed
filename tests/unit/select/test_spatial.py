from __future__ import annotations

import numpy as np
import pytest

from ssc_core.select.spatial import spatial_scores

SIZE = (100, 300)
# three boxes from left to right: small at the top, large in the middle, medium at the bottom
BOXES = np.array([[10, 0, 30, 20], [110, 20, 190, 80], [250, 60, 290, 100]], dtype=float)
AREAS = np.array([400, 4800, 1600])


def term(sentence: str) -> np.ndarray:
    return spatial_scores([sentence], BOXES, AREAS, SIZE)[0]


@pytest.mark.parametrize(
    ("sentence", "best"),
    [
        ("left dog", 0),
        ("the LEFT MOST one", 0),
        ("dog on the right side", 2),
        ("right one", 2),
        ("dog in the middle", 1),
        ("center", 1),
        ("top dog", 0),
        ("upper", 0),
        ("bottom dog", 2),
        ("largest dog", 1),
        ("big dog", 1),
        ("smallest dog", 0),
        ("little one", 0),
        ("second from left", 1),
        ("the third dog from the left", 2),
        ("2nd from right", 1),
        ("first person on the right", 2),
        ("third from the right", 0),
        ("dog left of the picture", 0),
        ("bottom right", 2),
    ],
)
def test_best_candidate(sentence, best):
    found = term(sentence)
    assert int(found.argmax()) == best
    assert found[best] == 1
    assert (found < 1).sum() == 2


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "brown dog",
        "person to the left of the dog",
        "dog right behind the man",
        "cat right next to him",
        "man with his left hand up",
        "the bright one",
        "fifth from left",
        "topping 🙂",
    ],
)
def test_no_word_of_place_no_term(sentence):
    assert term(sentence).tolist() == [0, 0, 0]


def test_an_ordinal_is_not_read_as_left_too():
    np.testing.assert_allclose(term("second from the left"), [0.5, 1, 0.5])


def test_several_words_are_averaged():
    np.testing.assert_allclose(term("bottom left"), (term("bottom") + term("left")) / 2)


def test_shapes_and_range():
    scores = spatial_scores(["left", "dog", "largest"], BOXES, AREAS, SIZE)
    assert scores.shape == (3, 3)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert spatial_scores([], BOXES, AREAS, SIZE).shape == (0, 3)
    assert spatial_scores(["left"], np.zeros((0, 4)), np.zeros(0), SIZE).shape == (1, 0)


def test_a_lone_candidate_gets_zeros():
    assert spatial_scores(["left", "second from left"], BOXES[:1], AREAS[:1], SIZE).tolist() == [[0], [0]]
