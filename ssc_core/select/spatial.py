"""Words of place and size, which CLIP cannot tell apart, from the candidates' boxes. Not of the paper.

``place_words`` reads the sentence; here its words are measured. A word says how a candidate compares with the ref's
other candidates, so terms are scaled to 0 (fits worst) to 1 (fits best) among them; a sentence without such words, or a
ref whose candidates do not differ, gets zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ssc_core.select.place_words import Place, read_places

Measure = Callable[[np.ndarray, np.ndarray, tuple[int, int]], np.ndarray]
"""(boxes (K, 4), areas (K,), (height, width)) -> (K,), higher fits better."""


def _centres(boxes: np.ndarray) -> np.ndarray:
    """(K, 2): x and y."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _off_centre(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.hypot(*(_centres(boxes) - [width / 2, height / 2]).T)


def _near(boxes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """How near to who looks: what stands nearer on the same ground ends lower in the photo, and is larger."""
    return _unit_range(boxes[:, 3]) + 0.25 * _unit_range(np.sqrt(areas))


MEASURES: Mapping[str, Measure] = {
    "left": lambda boxes, areas, size: -_centres(boxes)[:, 0],
    "right": lambda boxes, areas, size: _centres(boxes)[:, 0],
    "top": lambda boxes, areas, size: -_centres(boxes)[:, 1],
    "bottom": lambda boxes, areas, size: _centres(boxes)[:, 1],
    "middle": lambda boxes, areas, size: -_off_centre(boxes, size),
    "front": lambda boxes, areas, size: _near(boxes, areas),
    "back": lambda boxes, areas, size: -_near(boxes, areas),
    "large": lambda boxes, areas, size: np.sqrt(areas),
    "small": lambda boxes, areas, size: -np.sqrt(areas),
    "tall": lambda boxes, areas, size: boxes[:, 3] - boxes[:, 1],
    "short": lambda boxes, areas, size: boxes[:, 1] - boxes[:, 3],
}


def spatial_scores(
    sentences: Sequence[str], boxes_xyxy: np.ndarray, areas: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """float64 (S, K), 0 to 1: how well each of K candidates fits the words of place and size of each of S sentences.

    boxes_xyxy: (K, 4), pixels; areas: (K,), pixels; size: (height, width) of the photo. The terms of several words are
    averaged: "top left" asks for both.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    areas = np.asarray(areas, dtype=np.float64)
    terms = [_sentence_term(read_places(sentence), boxes, areas, size) for sentence in sentences]
    return np.array(terms, dtype=np.float64).reshape(len(sentences), len(boxes))


def _sentence_term(places: Sequence[Place], boxes: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    terms = [_place_term(place, boxes, areas, size) for place in places]
    return np.mean(terms, axis=0) if terms else np.zeros(len(boxes))


def _place_term(place: Place, boxes: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if place.what == "clock":
        return _unit_range(_at_hour(place.number or 12, boxes))
    fits = MEASURES[place.what](boxes, areas, size)
    return _unit_range(fits) if place.number is None else _nth_term(place.number - 1, fits)


def _at_hour(hour: int, boxes: np.ndarray) -> np.ndarray:
    """How well each box lies in an hour's direction from the middle of all: the cosine of the angle between both."""
    if not len(boxes):
        return np.zeros(0)
    away = _centres(boxes) - _centres(boxes).mean(axis=0)
    angle = 2 * np.pi * hour / 12
    length = np.hypot(*away.T)
    return np.divide(away @ [np.sin(angle), -np.cos(angle)], length, out=np.zeros(len(boxes)), where=length > 0)


def _nth_term(n: int, fits: np.ndarray) -> np.ndarray:
    """1 for the n-th best fit from 0, less the further from it in order; zeros when there are not so many."""
    if n >= len(fits) or len(fits) < 2:
        return np.zeros(len(fits))
    rank = np.argsort(np.argsort(-fits, kind="stable"))
    return 1 - np.abs(rank - n) / (len(fits) - 1)


def _unit_range(values: np.ndarray) -> np.ndarray:
    spread = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / spread if spread > 0 else np.zeros(len(values))
