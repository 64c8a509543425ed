"""A multimodal model as judge: candidates as numbered marks on the photo, one question a sentence, a number as answer.

What counts is how probable each number is as the model's next token, and not what it writes: so scores are numbers,
ties are ties, and the same question has the same answer. Marks: Yang et al. 2023, "Set-of-Mark Prompting". What carries
the questions to a model is a subclass: ``chooser_transformers``, ``chooser_server``. Not of the paper.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ssc_core.drawing.marks import MARKS, marked
from ssc_core.errors import SscError

log = logging.getLogger(__name__)

QUESTION = (
    "Objects in this photo are outlined in colours and numbered from 1 to {count} in the same colours. "
    'Which number has the object that is meant by "{sentence}"? Answer with the number alone.'
)
MOST_MARKS = len(MARKS)
"""Numbers in one picture: one digit each, so that every tokenizer has one token for them."""
NEVER = -20.0
"""Log probability of what the model rules out, and of a candidate without pixels; none is lower."""
DECIMALS = 3
"""Scores are rounded to this."""
SIDE = 1024
"""Longer side of a picture at most, pixels."""

_FIRST_FEW = 8
"""Answers without a number that are borne with before the share of them counts."""

Tokens = Sequence[tuple[str, float]]
"""What may come first in an answer, each with its log probability; not the whole vocabulary, the most probable ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """picture: RGB uint8 (H, W, 3), with marks 1 to ``count``; text: what is asked."""

    picture: np.ndarray
    text: str
    count: int


class Chooser(ABC):
    """A ``PairScorer``: the log probability of each candidate, for each sentence, that the model names its number.

    More than nine candidates are asked for in rounds: equal groups of at most nine, then the groups' winners, until one
    group is left. A candidate's odds against its group's winner are as in its group, those between winners as in the
    round after: by Luce's choice axiom (Luce 1959, "Individual Choice Behavior") the odds between two do not depend on
    what else there is, so that both together are a distribution over all. A lone candidate costs no question.

    question: text with ``{sentence}`` and, if wanted, ``{count}``; side: of the picture at most, pixels.
    """

    scale = "log probability"

    def __init__(self, question: str = QUESTION, side: int = SIDE) -> None:
        if "{sentence}" not in question:
            raise SscError(f"the chooser's `question` has no {{sentence}} in it: '{question:.200}'")
        if side < 1:
            raise SscError(f"the chooser's `side` is {side} pixels")
        self._question, self._side = question, side
        self._asked = self._unread = 0

    @abstractmethod
    def _ask(self, questions: Sequence[Question]) -> list[Tokens]:
        """What the model's answer to each begins with."""

    def score_pairs(self, image: np.ndarray, masks: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """float32 (S, K), from ``NEVER`` to 0: log probabilities of K masks, bool (K, H, W), for each of S sentences.

        image: RGB uint8 (H, W, 3). Raises SscError when the model cannot be asked, or seldom answers with a number.
        """
        shown = np.flatnonzero(masks.any(axis=(1, 2)))
        worth = np.full((len(sentences), len(masks)), NEVER)
        if len(shown):
            rounds = self._rounds(image, masks, sentences, shown)
            for row in range(len(sentences)):
                worth[row, shown] = _joined([groups[row] for groups in rounds if row in groups], len(masks))[shown]
        return np.round(worth.clip(min=NEVER), DECIMALS).astype(np.float32)

    def _rounds(
        self, image: np.ndarray, masks: np.ndarray, sentences: Sequence[str], shown: np.ndarray
    ) -> list[dict[int, list[_Group]]]:
        """For each round, by row of the sentence, the groups that were asked for."""

        @cache
        def picture(members: tuple[int, ...]) -> np.ndarray:
            return marked(image, masks[list(members)], side=self._side)

        left = dict.fromkeys(range(len(sentences)), shown)
        rounds = []
        while left:
            asked = [(row, group) for row, standing in left.items() for group in _groups(standing)]
            questions = [
                Question(picture(tuple(group.tolist())), self._text(sentences[row], len(group)), len(group))
                for row, group in asked
            ]
            answers = self._answer_all(questions)
            groups: dict[int, list[_Group]] = {row: [] for row in left}
            for (row, group), answer in zip(asked, answers, strict=True):
                groups[row].append(_Group(group, answer))
            rounds.append(groups)
            left = {row: np.array([one.winner for one in found]) for row, found in groups.items() if len(found) > 1}
        return rounds

    def _text(self, sentence: str, count: int) -> str:
        return self._question.replace("{count}", str(count)).replace("{sentence}", sentence)

    def _answer_all(self, questions: Sequence[Question]) -> list[np.ndarray]:
        """Log probabilities of the numbers of each, summing to 1; a lone mark needs no asking."""
        asked = [question for question in questions if question.count > 1]
        answers = iter(self._ask(asked) if asked else [])
        return [self._read(next(answers), q) if q.count > 1 else np.zeros(1) for q in questions]

    def _read(self, tokens: Tokens, question: Question) -> np.ndarray:
        self._asked += 1
        found = read_numbers(tokens, question.count)
        if found is not None:
            return found
        self._unread += 1
        begins = ", ".join(repr(token[:40]) for token, _ in tokens[:3]) or "nothing"
        log.warning(
            "no candidate is preferred: the answer to %r begins with %s, not with a number", question.text, begins
        )
        if self._asked >= _FIRST_FEW and self._unread > self._asked / 2:
            raise SscError(
                f"{self._unread} of {self._asked} answers of the chooser do not begin with a number, the last one with "
                f"{begins}. A model that thinks before it answers must be told not to, and one that sees no pictures "
                "cannot choose; see docs/chooser.md"
            )
        return np.full(question.count, -math.log(question.count))


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """members: int64 (n,), which of all candidates; answer: float64 (n,), their log probabilities, n at most 9."""

    members: np.ndarray
    answer: np.ndarray

    @property
    def winner(self) -> int:
        return int(self.members[self.answer.argmax()])


def _groups(standing: np.ndarray) -> list[np.ndarray]:
    return np.array_split(standing, math.ceil(len(standing) / MOST_MARKS))


def _joined(rounds: Sequence[Sequence[_Group]], count: int) -> np.ndarray:
    """Log probabilities, float64 (count,), from the groups of each round, the last of which is one group."""
    worth = np.full(count, -np.inf)
    (final,) = rounds[-1]
    worth[final.winner] = final.answer.max()
    for groups in reversed(rounds):
        for group in groups:
            worth[group.members] = worth[group.winner] + group.answer - group.answer.max()
    return worth - np.logaddexp.reduce(worth)


def read_numbers(tokens: Tokens, count: int) -> np.ndarray | None:
    """Log probabilities of the numbers 1 to ``count``, float64 (count,), summing to 1; None where no token is one.

    Tokens that say the same number ("1", " 1", "1.") count together. A number that is not there is at most as probable
    as the last that is, and gets so much, at most: an upper bound.
    """
    found = np.full(count, -np.inf)
    for token, value in tokens:
        if number := read_number(token, count):
            found[number - 1] = np.logaddexp(found[number - 1], value)
    if not np.isfinite(found).any():
        return None
    found[~np.isfinite(found)] = min(_least(tokens), found[np.isfinite(found)].min())
    return (found - np.logaddexp.reduce(found)).clip(min=NEVER)


def read_number(token: str, most: int) -> int | None:
    """The number from 1 to ``most`` that a token says and nothing else, blanks, quotes and stops aside."""
    word = token.strip(" \t\r\n\u2581\u0120\"'`*.,:()[]")
    return int(word) if len(word) == 1 and word.isascii() and word.isdigit() and 1 <= int(word) <= most else None


def _least(tokens: Iterable[tuple[str, float]]) -> float:
    return max(NEVER, min(value for _, value in tokens))
