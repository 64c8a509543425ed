"""Words of place and size, which CLIP cannot tell apart, from the candidates' boxes. Not of the paper.

A word says how a candidate compares with the ref's other candidates, so terms are scaled to 0 (fits worst) to 1 (fits
best) among them; a sentence without such words, or a ref whose candidates do not differ, gets zeros.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_ORDINAL = "|".join(ORDINALS) + "|1st|2nd|3rd|4th|5th|6th"
_LEFT = r"left ?most|left|lft"
_RIGHT = r"right ?most|right|rt"
_TOP = r"top ?most|upper ?most|top|upper|highest"
_BOTTOM = r"bottom ?most|lower ?most|bottom|btm|lower|lowest"
_FRAME = r"picture|photo|photograph|image|pic|screen|frame|side|edge|corner"

_NTH = re.compile(
    rf"\b(?P<nth>{_ORDINAL})\b(?: \w+){{0,2}}? (?:from|on|in|to)(?: the)?(?: far)? "
    rf"(?P<end>{_LEFT}|{_RIGHT}|{_TOP}|{_BOTTOM})\b"
)
# "left of the dog" and "right behind him" place an object by another one, "left hand" is a part of one
_RELATION = re.compile(
    rf"\b(?:{_LEFT}|{_RIGHT}|{_TOP}|{_BOTTOM}) of (?!(?:the |this |that )?(?:{_FRAME})\b)|"
    r"\bright (?:behind|next|beside|above|below|under|in front|by)\b|"
    r"\b(?:left|right) (?:hand(?! side)|arm|leg|foot|shoulder|eye|ear)\b"
)

Measure = Callable[[np.ndarray, np.ndarray, tuple[int, int]], np.ndarray]
"""(boxes (K, 4), areas (K,), (height, width)) -> (K,), higher fits better."""


def _centre_x(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 0] + boxes[:, 2]) / 2


def _centre_y(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 1] + boxes[:, 3]) / 2


def _off_centre(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.hypot(_centre_x(boxes) - width / 2, _centre_y(boxes) - height / 2)


_WORDS: tuple[tuple[re.Pattern[str], Measure], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b"), measure)
    for words, measure in (
        (_LEFT, lambda boxes, areas, size: -_centre_x(boxes)),
        (_RIGHT, lambda boxes, areas, size: _centre_x(boxes)),
        (_TOP, lambda boxes, areas, size: -_centre_y(boxes)),
        (_BOTTOM, lambda boxes, areas, size: _centre_y(boxes)),
        (r"middle|mid|cent(?:er|re)", lambda boxes, areas, size: -_off_centre(boxes, size)),
        (r"largest|biggest|larger|bigger|large|big|huge", lambda boxes, areas, size: np.sqrt(areas)),
        (r"smallest|littlest|smaller|small|little|tiny|tiniest", lambda boxes, areas, size: -np.sqrt(areas)),
    )
)


def spatial_scores(
    sentences: Sequence[str], boxes_xyxy: np.ndarray, areas: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """float64 (S, K), 0 to 1: how well each of K candidates fits the words of place and size of each of S sentences.

    boxes_xyxy: (K, 4), pixels; areas: (K,), pixels; size: (height, width) of the photo. The terms of several words are
    averaged: "top left" asks for both.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    areas = np.asarray(areas, dtype=np.float64)
    terms = [_sentence_term(sentence.lower(), boxes, areas, size) for sentence in sentences]
    return np.array(terms, dtype=np.float64).reshape(len(sentences), len(boxes))


def _sentence_term(sentence: str, boxes: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    terms = []
    for match in _NTH.finditer(sentence):
        terms.append(_nth_term(match["nth"], _measure_of(match["end"])(boxes, areas, size)))
    rest = _RELATION.sub(" ", _NTH.sub(" ", sentence))
    terms += [_unit_range(measure(boxes, areas, size)) for word, measure in _WORDS if word.search(rest)]
    return np.mean(terms, axis=0) if terms else np.zeros(len(boxes))


def _nth_term(nth: str, fits: np.ndarray) -> np.ndarray:
    """1 for the n-th best fit, less the further from it in order; zeros when there are not so many."""
    n = ORDINALS.index(nth) if nth in ORDINALS else int(nth[0]) - 1
    if n >= len(fits) or len(fits) < 2:
        return np.zeros(len(fits))
    rank = np.argsort(np.argsort(-fits, kind="stable"))
    return 1 - np.abs(rank - n) / (len(fits) - 1)


def _measure_of(end: str) -> Measure:
    return next(measure for word, measure in _WORDS if word.fullmatch(end))


def _unit_range(values: np.ndarray) -> np.ndarray:
    spread = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / spread if spread > 0 else np.zeros(len(values))
