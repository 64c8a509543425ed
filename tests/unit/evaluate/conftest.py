"""A dataset of four photos, small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssc_core.masks import rle

SIZE = (8, 10)


class Truths:
    """Ground truth held in memory."""

    def __init__(self, masks: dict[int, np.ndarray]) -> None:
        self._masks = masks

    def mask(self, ref_id: int) -> np.ndarray | None:
        return self._masks.get(ref_id)

    def code(self, ref_id: int) -> tuple[bytes, tuple[int, int]] | None:
        mask = self.mask(ref_id)
        return None if mask is None else (rle.encode(mask[None])[0], (mask.shape[0], mask.shape[1]))


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """bool SIZE, true inside the box."""
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _ref(split: str, image_id: int, ref_id: int, category: str, sentences: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "dataset": "tiny",
            "split": split,
            "image_id": image_id,
            "file_name": f"{image_id}.jpg",
            "height": SIZE[0],
            "width": SIZE[1],
            "ref_id": ref_id,
            "ann_id": 100 + ref_id,
            "category_id": {"cat": 17, "dog": 18}[category],
            "category": category,
            "sent_id": 10 * ref_id + i,
            "sentence": sentence,
            "raw": sentence,
        }
        for i, sentence in enumerate(sentences)
    ]


@pytest.fixture
def refs() -> pd.DataFrame:
    rows = [
        *_ref("val", 1, 1, "cat", ["left cat", "the white one"]),
        *_ref("val", 1, 2, "cat", ["right cat"]),
        *_ref("val", 2, 3, "dog", ["dog"]),
        *_ref("val", 3, 4, "dog", ["dog without truth"]),
        *_ref("train", 4, 5, "dog", ["sleeping dog"]),
        *_ref("train", 4, 6, "dog", ["barking dog"]),
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def truth() -> Truths:
    left, right = box(0, 0, 4, 4), box(6, 0, 10, 4)
    return Truths({1: left, 2: right, 3: box(0, 0, 10, 8), 5: left, 6: right})


@pytest.fixture
def meta() -> dict[str, Any]:
    return {
        "dataset": "tiny",
        "world": "files",
        "method": "corrected",
        "model": {"checkpoint": "correct.pt", "sha256": "0" * 64},
        "settings": {"network": {"image_size": 8}},
        "code": "abc",
        "data": {"refs": "1" * 64},
        "versions": {"python": "3.11"},
    }
