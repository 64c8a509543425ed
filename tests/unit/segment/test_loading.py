from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.pictures import BadImage
from ssc_core.segment.loading import PhotoLoader
from ssc_core.segment.tasks import ImageTask


def tasks(count: int) -> list[ImageTask]:
    return [ImageTask(i, f"{i}.png", (4, 6), ()) for i in range(count)]


def test_the_loader_prepares_where_the_backend_says_how_and_counts_what_it_skips(tmp_path, caplog):
    class Preparing:
        def prepare(self, image: np.ndarray) -> tuple[int, ...]:
            return image.shape

    Image.new("RGB", (6, 4)).save(tmp_path / "0.png")
    first, missing = tasks(2)
    load = PhotoLoader(tmp_path, "skip", Preparing())
    assert load(first) == (4, 6, 3)
    assert load(missing) is None
    assert load.skipped == [1]
    assert str(tmp_path / "1.png") in caplog.text
    with pytest.raises(BadImage, match=r"1\.png"):
        PhotoLoader(tmp_path, "stop", Preparing())(missing)
    assert PhotoLoader(tmp_path, "stop", object())(first).shape == (4, 6, 3)
