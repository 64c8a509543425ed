"""What ``ssc label`` leaves, of several splits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ssc_core.cli import delivery
from ssc_core.exchange.annotations import AnnotatedImage, Annotation, LeftOut


def test_a_photo_that_several_splits_name_comes_once_with_the_masks_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = {"train": [1, 2, 5], "val": [5, 3, 1], "test": [4, 3, 5]}

    def of_split(split: Any, wanted: np.ndarray, left_out: LeftOut) -> Any:
        for photo in wanted.tolist():
            yield AnnotatedImage(photo, f"{photo}.png", (2, 2), [Annotation(f"{split.name} {photo}", "", b"", {})])

    monkeypatch.setattr(delivery, "_with_scores", of_split)
    labelled: Any = [
        SimpleNamespace(name=name, run=SimpleNamespace(selected=SimpleNamespace(image_ids=np.array(ids))))
        for name, ids in photos.items()
    ]
    found = {image.image_id: [one.name for one in image.annotations] for image in delivery.once(labelled, LeftOut())}
    assert list(found) == [1, 2, 5, 3, 4], "by first appearance"
    for photo, names in found.items():
        assert names == [f"{split} {photo}" for split, ids in photos.items() if photo in ids]
