"""Questions with numbered marks, and scores from the probabilities of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ssc_core.drawing.marks import MARKS
from ssc_core.errors import SscError
from ssc_core.select import chooser
from ssc_core.select.chooser import NEVER, Chooser, Question, Tokens, read_numbers

PHOTO = np.full((120, 400, 3), 100, np.uint8)


def masks(count: int) -> np.ndarray:
    """bool (count, H, W): one beside the other; the k-th has k + 1 rows, so that a test can tell them apart."""
    found = np.zeros((count, *PHOTO.shape[:2]), bool)
    for k in range(count):
        found[k, 20 : 21 + k, 10 + 12 * k : 20 + 12 * k] = True
    return found


class Judge(Chooser):
    """Answers by a function of the question."""

    def __init__(self, answer: Callable[[Question], Tokens], **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.answer, self.questions = answer, list[Question]()
        self.batches: list[int] = []

    def _ask(self, questions: Sequence[Question]) -> list[Tokens]:
        self.questions += questions
        self.batches.append(len(questions))
        return [self.answer(question) for question in questions]


def numbers(*values: float) -> Tokens:
    return [(str(number), value) for number, value in enumerate(values, start=1)]


def test_scores_are_the_probabilities_of_the_numbers() -> None:
    judge = Judge(lambda question: numbers(*np.log([0.1, 0.6, 0.2])))
    scores = judge.score_pairs(PHOTO, masks(3), ["left", "middle"])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(np.exp(scores), [[1 / 9, 6 / 9, 2 / 9]] * 2, atol=1e-3)
    assert judge.scale == "log probability"


def test_the_question_has_the_sentence_the_count_and_all_marks() -> None:
    judge = Judge(lambda question: numbers(-1, -2))
    judge.score_pairs(PHOTO, masks(2), ["red {count} {0} box"])
    (question,) = judge.questions
    assert '"red {count} {0} box"' in question.text
    assert "1 to 2" in question.text
    for colour in MARKS[:2]:
        assert (question.picture == colour).all(axis=2).any()
    assert not (question.picture == MARKS[2]).all(axis=2).any()


def test_a_question_of_ones_own() -> None:
    judge = Judge(lambda question: numbers(-1, -2), question="Welche Nummer hat: {sentence}?")
    judge.score_pairs(PHOTO, masks(2), ["Hund"])
    assert judge.questions[0].text == "Welche Nummer hat: Hund?"
    with pytest.raises(SscError, match=r"has no \{sentence\}"):
        Judge(lambda question: [], question="Which one?")


def test_a_lone_candidate_and_none_cost_no_question() -> None:
    judge = Judge(lambda question: pytest.fail("asked"))
    np.testing.assert_array_equal(judge.score_pairs(PHOTO, masks(1), ["a", "b"]), [[0], [0]])
    assert judge.score_pairs(PHOTO, masks(0), ["a", "b"]).shape == (2, 0)
    assert judge.score_pairs(PHOTO, masks(3), []).shape == (0, 3)


def test_a_candidate_without_pixels_is_not_asked_for() -> None:
    judge = Judge(lambda question: numbers(-1, -1))
    found = masks(3)
    found[1] = False
    scores = judge.score_pairs(PHOTO, found, ["a"])
    assert judge.questions[0].count == 2
    np.testing.assert_allclose(scores, [[math.log(0.5), NEVER, math.log(0.5)]], atol=1e-3)
    assert (judge.score_pairs(PHOTO, np.zeros_like(found), ["a"]) == NEVER).all()


@pytest.mark.parametrize("count", [2, 9, 10, 19, 30, 100])
def test_more_than_nine_are_asked_for_in_rounds_whose_odds_are_those_of_one_question(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge's odds between two do not depend on what else there is; pictures are lists of candidates here."""
    monkeypatch.setattr(chooser, "marked", lambda photo, masks, side: np.flatnonzero(masks.any(axis=0))[:, None, None])
    worth = np.random.default_rng(count).dirichlet(np.ones(count)) + 1e-3
    worth /= worth.sum()
    judge = Judge(lambda question: numbers(*np.log(worth[question.picture[:, 0, 0]])))
    scores = judge.score_pairs(PHOTO, np.eye(count, dtype=bool)[:, None], ["a", "b"])
    np.testing.assert_allclose(np.exp(scores[0]), worth, rtol=2e-3)
    np.testing.assert_array_equal(scores[0], scores[1])
    groups, rounds = count, []
    while groups > 1 or not rounds:
        groups = math.ceil(groups / 9)
        rounds.append(2 * groups)
    assert judge.batches == rounds, "both sentences together, round by round"
    assert max(question.count for question in judge.questions) <= 9


def test_ties_are_ties() -> None:
    scores = Judge(lambda question: numbers(*[-1.0] * question.count)).score_pairs(PHOTO, masks(20), ["a"])
    np.testing.assert_array_equal(scores, np.full((1, 20), round(math.log(1 / 20), 3), np.float32))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([("1", -1.0), ("2", -2.0)], [-1, -2]),
        ([("2", -2.0), ("The", -0.1), ("1", -1.0)], [-1, -2]),
        ([(" 1", math.log(0.25)), ("1.", math.log(0.25)), ("2", math.log(0.5))], [math.log(0.5)] * 2),
        ([("▁2", -1.0), ("Ġ1", -3.0)], [-3, -1]),
        ([("3", -0.5), ("0", -0.5), ("12", -0.5), ("1", -1.0), ("2", -1.0)], [-1, -1]),
        ([("1", -0.1), ("x", -4.0), ("y", -9.0)], [-0.1, -9]),
        ([("1", -0.1), ("x", -9999.0)], [-0.1, NEVER]),
        ([("²", -0.1), ("٢", -0.1), ("1", -1.0), ("2", -1.0)], [-1, -1]),
    ],
)
def test_read_numbers(tokens: Tokens, expected: list[float]) -> None:
    found = read_numbers(tokens, 2)
    assert found is not None
    np.testing.assert_allclose(found[0] - found[1], expected[0] - expected[1], atol=1e-6)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("tokens", [[], [("The", -0.1)], [("3", -0.1)], [("one", -0.1), ("12", -1.0)]])
def test_no_number_in_an_answer(tokens: Tokens) -> None:
    assert read_numbers(tokens, 2) is None


def test_an_answer_without_a_number_prefers_none_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(lambda question: [("Hello", -0.1)] if "bad" in question.text else numbers(-1, -2))
    scores = judge.score_pairs(PHOTO, masks(2), ["good", "bad"])
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 0] == scores[1, 1] == np.float32(round(math.log(0.5), 3))
    assert "no candidate is preferred" in caplog.text and "'Hello'" in caplog.text


def test_a_model_that_seldom_answers_with_a_number_is_an_error() -> None:
    judge = Judge(lambda question: [("<think>", -0.1)])
    with pytest.raises(SscError, match=r"8 of 8 answers of the chooser do not begin with a number.*'<think>'"):
        judge.score_pairs(PHOTO, masks(2), ["a"] * 20)
