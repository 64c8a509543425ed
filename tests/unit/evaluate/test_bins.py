from __future__ import annotations

import numpy as np
import pandas as pd

from ssc_core.evaluate import bins


def test_sentence_lengths() -> None:
    sentences = pd.Series(["cat", "red cat", "the red cat", "a b c d", "a b c d e", "a b c d e f", "w " * 11])
    assert bins.sentence_lengths(sentences) == ["1 word", "2", "3", "4-5", "4-5", "6-10", "11 and more"]


def test_object_counts() -> None:
    assert bins.object_counts(np.arange(6)) == ["0", "1", "2", "3", "4", "5 and more"]
    assert bins.object_counts(np.array([30])) == ["5 and more"]


def test_object_sizes() -> None:
    assert bins.OBJECT_SIZES == ("under 1 %", "1 to 3 %", "3 to 10 %", "10 to 30 %", "over 30 %")
    assert bins.object_sizes(np.array([0.0, 0.01, 0.05, 0.2, 0.9])) == list(bins.OBJECT_SIZES)
    assert bins.object_sizes(np.array([0.0099, 0.0299, 0.0999, 0.2999, 0.3])) == list(bins.OBJECT_SIZES)


def test_same_class_refs_counts_objects_not_sentences() -> None:
    refs = pd.DataFrame(
        [(1, 5, 10), (1, 5, 10), (1, 5, 11), (1, 6, 12), (2, 5, 13)], columns=["image_id", "category_id", "ann_id"]
    )
    assert bins.same_class_refs(refs).tolist() == [2, 2, 2, 1, 1]
