"""Looking again at a photo: what a choice, a class and a threshold change, and what is computed for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ssc_core.backends import Detections
from ssc_core.errors import SscError
from ssc_core.predict import exploring
from ssc_core.predict.exploring import Explorer, Wish, candidate_at
from ssc_core.predict.zero_shot import ZeroShot
from tests.unit.predict.test_zero_shot import photo, toy_settings
from tests.unit.predict.toy_backends import Boxes, Brightness, Squares

__all__ = ["photo"]  # the fixture


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was computed, by step, as it happens."""
    done: list[str] = []
    for kind, method in ((Squares, "detect"), (Boxes, "segment"), (Brightness, "encode_images")):
        own = getattr(kind, method)

        def noted(self: object, *given: object, own=own, method=method) -> object:
            done.append(method)
            return own(self, *given)

        monkeypatch.setattr(kind, method, noted)
    return done


ALL = ["detect", "segment", "encode_images"]


def test_what_segment_and_select_find(photo: np.ndarray) -> None:
    look = Explorer(None, ZeroShot(toy_settings())).look(photo, Wish.of(" dark  apple "))
    assert (look.asked, look.chosen, look.of) == ("apple", 0, "candidate 1")
    assert look.scores[0] > look.scores[1]
    assert look.box_scores == pytest.approx((0.9, 0.5))
    np.testing.assert_array_equal(look.mask, look.masks[0])


def test_a_choice_computes_nothing(photo: np.ndarray, steps: list[str]) -> None:
    explorer = Explorer(None, ZeroShot(toy_settings()))
    wish = Wish.of("dark apple")
    explorer.look(photo, wish)
    assert steps == ALL
    chosen = explorer.look(photo, wish, 2)
    assert steps == ALL
    assert (chosen.chosen, chosen.of) == (1, "candidate 2")
    assert chosen.mask[40, 10]
    assert not chosen.mask[10, 10]
    with pytest.raises(SscError, match="no candidate 3; there are 2"):
        explorer.look(photo, wish, 3)


def test_a_threshold_detects_segments_and_scores_again_and_is_not_left_behind(
    photo: np.ndarray, steps: list[str]
) -> None:
    explorer = Explorer(None, ZeroShot(toy_settings()))
    assert explorer.threshold == 0.1
    assert len(explorer.look(photo, Wish.of("light apple")).masks) == 2
    strict = explorer.look(photo, Wish.of("light apple", "apple", 0.7))
    assert (len(strict.masks), strict.chosen, steps) == (1, 0, ALL * 2)
    assert explorer.threshold == 0.1
    assert len(explorer.look(photo, Wish.of("light apple", "", 0.1)).masks) == 2
    assert steps == ALL * 2, "its own threshold is what was found first"


def test_another_class_is_looked_for_as_it_is_written(photo: np.ndarray, steps: list[str]) -> None:
    explorer = Explorer(None, ZeroShot(toy_settings()))
    explorer.look(photo, Wish.of("dark apple"))
    cups = explorer.look(photo, Wish.of("dark apple", "cup"))
    assert (cups.asked, len(cups.masks), steps) == ("cup", 2, ALL * 2)
    assert cups.masks[:, :, 45:].any(axis=(1, 2)).all()
    again = explorer.look(photo, Wish.of("dark apple", "apple"))
    assert (again.asked, steps) == ("apple", ALL * 2), "the sentence's own class was found already"
    explorer.look(photo, Wish.of("light apple"))
    assert steps == [*ALL * 2, "encode_images"], "another sentence scores the same candidates"


def test_phrases_are_asked_for_until_another_class_is(photo: np.ndarray) -> None:
    explorer = Explorer(None, ZeroShot(toy_settings(nouns={"project": False, "ask": "phrases"})))
    first = explorer.look(photo, Wish.of("the dark apple"))
    assert first.asked == "dark apple"
    explorer.look(photo, Wish.of("the dark apple", first.asked, 0.3))
    explorer.look(photo, Wish.of("the dark apple", "apple", 0.3))
    assert Squares.calls == [("dark apple",), ("dark apple",), ("apple",)]


def test_the_networks_mask_stays_until_a_candidate_is_chosen(photo: np.ndarray) -> None:
    calls = []

    def network(images, sentences):
        calls.append(sentences)
        return [np.ones((1, 24, 24), np.float32)]

    explorer = Explorer(network, ZeroShot(toy_settings()))
    first = explorer.look(photo, Wish.of("dark apple"))
    assert (first.of, first.mask.all(), first.chosen) == ("the network", True, 0)
    assert explorer.look(photo, Wish.of("dark apple", "cup", 0.2)).of == "the network"
    assert explorer.look(photo, Wish.of("dark apple"), 1).of == "candidate 1"
    assert calls == [[["dark apple"]]]
    alone = Explorer(network, None).look(photo, Wish.of("the cup"))
    assert (alone.masks, alone.asked, alone.mask.all()) == (None, "", True)


def test_a_plug_in_without_a_threshold_has_none_to_change(photo: np.ndarray, monkeypatch) -> None:
    monkeypatch.setattr(Squares, "__init__", lambda self: None)
    monkeypatch.setattr(Squares, "detect", lambda self, images, prompts: [Detections.joined([]) for _ in images])
    explorer = Explorer(None, ZeroShot(toy_settings()))
    assert explorer.threshold is None
    assert len(explorer.look(photo, Wish.of("dark apple", "", 0.5)).masks) == 0


def test_only_the_best_are_segmented(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "MOST_CANDIDATES", 1)
    look = Explorer(None, ZeroShot(toy_settings())).look(photo, Wish.of("light apple"))
    assert (len(look.masks), look.full) == (1, True)
    assert look.box_scores == pytest.approx((0.9,))


def test_what_is_kept_is_bounded(photo: np.ndarray, steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "KEPT", 3)
    explorer = Explorer(None, ZeroShot(toy_settings()))
    for sentence in ("dark apple", "light cup", "dark apple"):
        explorer.look(photo, Wish.of(sentence))
    assert steps == ALL * 3
    assert len(explorer._kept) == 3


def test_nothing_found(photo: np.ndarray) -> None:
    look = Explorer(None, ZeroShot(toy_settings())).look(photo, Wish.of("zebra"))
    assert (len(look.masks), look.chosen, look.of, look.mask.any()) == (0, None, "no candidate", False)
    with pytest.raises(SscError, match="no model to ask"):
        Explorer(None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((" ",), "Give a photo and a sentence"),
        ((None,), "Give a photo and a sentence"),
        (("a" * 1001,), "up to 1000 are taken"),
        (("a", "b" * 101), "class has 101 letters"),
        (("a", "b", -0.1), "from 0 to 1"),
        (("a", "b", float("nan")), "from 0 to 1"),
        (("a", "b", "0.5"), "from 0 to 1"),
    ],
)
def test_what_cannot_be_asked(given: tuple, message: str) -> None:
    with pytest.raises(SscError, match=message):
        Wish.of(*given)


def test_the_smallest_mask_under_a_point() -> None:
    masks = np.zeros((3, 10, 20), bool)
    masks[0], masks[1, 2:6, 4:12], masks[2, 2:6, 4:12] = True, True, True
    assert candidate_at(masks, (0.3, 0.3)) == 2, "the first of two that are equal"
    assert candidate_at(masks, (0.9, 0.9)) == candidate_at(masks, (1.0, 1.0)) == 1
    assert candidate_at(masks[1:], (0.9, 0.9)) is None
    for elsewhere in ((-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)):
        assert candidate_at(masks, elsewhere) is None
    assert candidate_at(masks[:0], (0.5, 0.5)) is None
