"""The groups that results are broken down by."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd

SENTENCE_LENGTHS = ("1 word", "2", "3", "4-5", "6-10", "11 and more")
_LENGTH_EDGES = (2, 3, 4, 6, 11)

OBJECT_COUNTS = ("0", "1", "2", "3", "4", "5 and more")
_COUNT_EDGES = (1, 2, 3, 4, 5)

_SIZE_EDGES = (0.01, 0.03, 0.10, 0.30)
OBJECT_SIZES = (
    "under 1 %",
    *(f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in pairwise(_SIZE_EDGES)),
    "over 30 %",
)
"""Share of the photo that the object covers: unlike COCO's pixel areas it means the same at any photo size."""


def sentence_lengths(sentences: Iterable[str]) -> list[str]:
    """Label by number of words, one per sentence."""
    return _labels(np.array([len(sentence.split()) for sentence in sentences]), _LENGTH_EDGES, SENTENCE_LENGTHS)


def object_counts(counts: np.ndarray) -> list[str]:
    """Label by a count of objects, int (N,)."""
    return _labels(counts, _COUNT_EDGES, OBJECT_COUNTS)


def object_sizes(shares: np.ndarray) -> list[str]:
    """Label by the share of the photo that the object covers, float (N,) in 0..1."""
    return _labels(shares, _SIZE_EDGES, OBJECT_SIZES)


def same_class_refs(refs: pd.DataFrame) -> pd.Series:
    """Objects of the ref's own category that sentences of this table name in its image, itself too; one per row."""
    return refs.groupby(["image_id", "category_id"])["ann_id"].transform("nunique").astype(int)


def _labels(values: np.ndarray, edges: tuple[float, ...], names: tuple[str, ...]) -> list[str]:
    return [names[i] for i in np.digitize(values, edges)]
