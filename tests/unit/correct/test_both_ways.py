from __future__ import annotations

import numpy as np

from ssc_core.correct.both_ways import seen_both_ways


def test_margins_are_the_mean_of_both_looks() -> None:
    asked = []

    def predict(photos, sentences):
        """A margin per pixel: the photo's red, ten times that where the sentence says left."""
        asked.append([list(of) for of in sentences])
        return [
            np.stack([photo[:, :, 0] * (10.0 if "left" in text else 1.0) for text in of]).astype(np.float32)
            for photo, of in zip(photos, sentences, strict=True)
        ]

    photo = np.zeros((1, 3, 3), np.uint8)
    photo[0, :, 0] = (1, 2, 4)
    found = seen_both_ways(predict)([photo, 2 * photo], [["dog on left", "the dog"], ["right one"]])
    assert asked == [[["dog on left", "the dog"], ["right one"]], [["dog on right", "the dog"], ["left one"]]]
    np.testing.assert_array_equal(found[0], [[[5.5, 11, 22]], [[1, 2, 4]]])
    np.testing.assert_array_equal(found[1], [[[11, 22, 44]]])
    assert found[0].dtype == np.float32
