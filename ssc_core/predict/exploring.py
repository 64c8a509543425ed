"""A photo and a sentence, looked at again and again with another class, threshold or choice. What the page shows."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.resize import masks_at
from ssc_core.segment.tasks import RefQuery

if TYPE_CHECKING:
    from ssc_core.correct.predictor import Predictor
    from ssc_core.predict.zero_shot import Proposals, ZeroShot

MAX_LETTERS = 1000
"""Of a sentence."""

MAX_CLASS_LETTERS = 100
"""Of the class that is looked for."""

THRESHOLDS = (0, 1)
"""Smallest and largest."""

MOST_CANDIDATES = 50
"""The first ones, those with the best boxes: a low threshold would fill the memory with masks."""

KEPT = 64
"""Results of steps that are kept, those that were used last."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a visitor asks for. asked: the class that is looked for, "" for the sentence's own; threshold: of the
    detector, None for its own."""

    sentence: str
    asked: str = ""
    threshold: float | None = None

    @classmethod
    def of(cls, sentence: str | None, asked: str | None = None, threshold: float | None = None) -> Wish:
        """Of what came from a browser. Raises SscError for what cannot be asked."""
        words, name = (" ".join(str(text or "").split()) for text in (sentence, asked))
        if not words:
            raise SscError("Give a photo and a sentence.")
        for what, text, most in (("sentence", words, MAX_LETTERS), ("class", name, MAX_CLASS_LETTERS)):
            if len(text) > most:
                raise SscError(f"The {what} has {len(text)} letters; up to {most} are taken.")
        low, high = THRESHOLDS
        number = isinstance(threshold, int | float)
        if threshold is not None and not (number and low <= threshold <= high):  # NaN is not
            raise SscError(f"The threshold is a number from {low} to {high}.")
        return cls(words, name, None if threshold is None else round(float(threshold), 4))


@dataclass(frozen=True, slots=True)
class Look:
    """What the models make of a wish.

    mask: bool (H, W), in photo pixels; of: whose it is, in words; asked: the class that was looked for, "" without
    Segment; masks: bool (K, H, W), the candidates, None without Segment; scores, box_scores: float (K,); chosen: index
    of the candidate that is shown, None for none; full: there may be more candidates than were looked at.
    """

    mask: np.ndarray
    of: str
    asked: str = ""
    masks: np.ndarray | None = None
    scores: tuple[float, ...] = ()
    box_scores: tuple[float, ...] = ()
    chosen: int | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class _Scored:
    found: Proposals
    scores: tuple[float, ...]
    chosen: int | None


class Explorer:
    """Models that remember what they found.

    Each step's result is kept under what it depends on: a choice of a visitor computes nothing, another class or
    threshold detects, segments and scores again, and the network is asked once per photo and sentence. One question
    goes through the models at a time.
    """

    def __init__(self, network: Predictor | None, zero_shot: ZeroShot | None) -> None:
        if network is None and zero_shot is None:
            raise SscError("no model to ask")
        self._network, self._zero_shot, self._lock = network, zero_shot, Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def finds_candidates(self) -> bool:
        """Whether there are candidates to choose from."""
        return self._zero_shot is not None

    @property
    def threshold(self) -> float | None:
        """The detector's own; None where none can be set."""
        return None if self._zero_shot is None else self._zero_shot.threshold

    def look(self, photo: np.ndarray, wish: Wish, number: int | None = None) -> Look:
        """Photo: RGB uint8 (H, W, 3). number: of the candidate that is chosen, from 1; None leaves it to the models.

        Raises SscError for a number that no candidate has.
        """
        with self._lock:
            name = blake2b(photo.tobytes(), digest_size=16).digest() + repr(photo.shape).encode()
            own = None if self._network is None else self._by_network(name, photo, wish.sentence)
            if self._zero_shot is None:
                assert own is not None, "one of them is there"
                return Look(own, "the network")
            asked, scored = self._by_segment_and_select(name, photo, wish)
        masks, chosen = scored.found.candidates[0].masks(), scored.chosen
        if number is not None:
            if not 1 <= number <= len(masks):
                raise SscError(f"There is no candidate {number}; there are {len(masks)}.")
            chosen = number - 1
        if own is None or number is not None:
            mask = np.zeros(photo.shape[:2], bool) if chosen is None else masks[chosen]
            of = "no candidate" if chosen is None else f"candidate {chosen + 1}"
        else:
            mask, of = own, "the network"
        boxes = scored.found.box_scores[scored.found.candidates[0].rows].tolist()
        full = len(scored.found.box_scores) >= MOST_CANDIDATES
        return Look(mask, of, asked, masks, scored.scores, tuple(boxes), chosen, full)

    def _by_network(self, name: bytes, photo: np.ndarray, sentence: str) -> np.ndarray:
        def predicted() -> list[bytes]:
            assert self._network is not None, "asked only where there is one"
            return rle.encode(masks_at(self._network([photo], [[sentence]])[0], photo.shape[:2]))

        return rle.decode(self._once(("network", name, sentence), predicted), photo.shape[:2])[0]

    def _by_segment_and_select(self, name: bytes, photo: np.ndarray, wish: Wish) -> tuple[str, _Scored]:
        """What was looked for, in words, and what was found."""
        zero_shot = self._zero_shot
        assert zero_shot is not None, "asked only where there is one"
        own: RefQuery = self._once(("question", wish.sentence), lambda: zero_shot.questions([[wish.sentence]])[0])
        asked = ", ".join(own.asks)
        question = own if wish.asked in ("", asked) else RefQuery(0, wish.asked, (wish.asked,))
        threshold = None if zero_shot.threshold in (None, wish.threshold) else wish.threshold
        key = (name, question, threshold)

        def found() -> Proposals:
            return zero_shot.find(photo, [question], threshold=threshold, most=MOST_CANDIDATES)

        def scored() -> _Scored:
            proposals = self._once(("found", *key), found)
            (answer,) = zero_shot.choose(photo, proposals, [[wish.sentence]])
            pick = int(answer.chosen[0])
            return _Scored(proposals, tuple(answer.scores[0].tolist()), None if pick < 0 else pick)

        return ", ".join(question.asks), self._once(("scored", *key, wish.sentence), scored)

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gave for the key, if it is still kept."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        value: T = self._kept[key]
        return value


def candidate_at(masks: np.ndarray, at: tuple[float, float]) -> int | None:
    """Number, from 1, of the smallest mask that holds a point, the earlier one of two that are equal; None for none.

    masks: bool (K, H, W); at: x, y as shares of the photo's width and height; what is not from 0 to 1 is in none.
    """
    x, y = at
    if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
        return None
    height, width = masks.shape[1:]
    inside = np.flatnonzero(masks[:, min(int(y * height), height - 1), min(int(x * width), width - 1)])
    if not len(inside):
        return None
    return int(inside[masks[inside].sum(axis=(1, 2), dtype=np.int64).argmin()]) + 1
