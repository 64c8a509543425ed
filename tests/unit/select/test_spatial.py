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
        ("2nd from rt", 1),
        ("closest dog", 2),
        ("dog in the back", 0),
        ("tallest dog", 1),
        ("shorter dog", 0),
        ("dog at 10 o'clock", 0),
        ("dog at 4 o'clock", 2),
    ],
)
def test_best_candidate(sentence, best):
    found = term(sentence)
    assert int(found.argmax()) == best
    assert found[best] == 1
    assert (found < 1).sum() == 2


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("left", [1, 0, 0.5]),
        ("right", [0, 1, 0.5]),
        ("top", [0, 0.6, 1]),
        ("bottom", [1, 0.4, 0]),
        ("middle", [0, 1, 0.824]),
    ],
)
def test_sides_of_candidates_that_lie_otherwise_across_than_down(sentence, expected):
    boxes = np.array([[0, 50, 20, 70], [80, 20, 100, 40], [40, 0, 60, 20]], dtype=float)
    found = spatial_scores([sentence], boxes, np.full(3, 400), (60, 140))[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


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
    np.testing.assert_allclose(spatial_scores(["second from the left"], BOXES[:2], AREAS[:2], SIZE), [[0, 1]])


def test_of_equal_sizes_the_lower_edge_says_what_is_in_front_and_of_equal_edges_the_size():
    boxes = np.array([[0, 10, 20, 30], [50, 40, 70, 60], [100, 20, 140, 60]], dtype=float)
    areas = np.array([400, 400, 1600])
    front = spatial_scores(["front dog"], boxes, areas, SIZE)[0]
    assert front.argsort().tolist() == [0, 1, 2]
    np.testing.assert_allclose(spatial_scores(["dog in back"], boxes, areas, SIZE)[0], 1 - front)


def test_an_hour_is_a_direction_from_the_middle_of_all_candidates():
    around = [(np.sin(np.pi * hour / 6), -np.cos(np.pi * hour / 6)) for hour in range(1, 13)]
    boxes = np.array([[100 + 40 * x - 5, 50 + 40 * y - 5, 100 + 40 * x + 5, 50 + 40 * y + 5] for x, y in around])
    for hour in range(1, 13):
        assert spatial_scores([f"slice at {hour} o'clock"], boxes, np.full(12, 100), SIZE)[0].argmax() == hour - 1


def test_several_words_are_averaged():
    np.testing.assert_allclose(term("bottom left"), (term("bottom") + term("left")) / 2)


def test_shapes_and_range():
    scores = spatial_scores(["left", "dog", "largest"], BOXES, AREAS, SIZE)
    assert scores.shape == (3, 3)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert spatial_scores([], BOXES, AREAS, SIZE).shape == (0, 3)
    assert spatial_scores(["left"], np.zeros((0, 4)), np.zeros(0), SIZE).shape == (1, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sentence", ["10 o'clock", "left", "second from left"])
def test_without_candidates_there_is_nothing_to_measure(sentence):
    assert spatial_scores([sentence], np.zeros((0, 4)), np.zeros(0), (10, 10)).shape == (1, 0)


def test_a_lone_candidate_gets_zeros():
    sentences = ["left", "first from left", "second from left"]
    assert spatial_scores(sentences, BOXES[:1], AREAS[:1], SIZE).tolist() == [[0]] * 3
