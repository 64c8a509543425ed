"""A network's answer from two looks at each photo: as it is, and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssc_core.refer.sides import mirrored

if TYPE_CHECKING:
    from ssc_core.evaluate.pairs import Predict


def seen_both_ways(predict: Predict) -> Predict:
    """``predict`` that also looks at the mirrored photos, left and right swapped in their sentences, which are English:
    the mean of its margins for a photo and, turned back, for its mirror image. Takes twice the time."""

    def twice(photos: Sequence[np.ndarray], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        seen = predict(photos, sentences)
        turned = predict([photo[:, ::-1] for photo in photos], [[mirrored(text) for text in of] for of in sentences])
        return [(one + other[..., ::-1]) / 2 for one, other in zip(seen, turned, strict=True)]

    return twice
