from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ssc_core.pictures import BadImage
from ssc_core.segment.loading import BATCHES_AHEAD, PhotoLoader, ahead_of, worker_threads
from ssc_core.segment.tasks import Batch, ImageTask


def tasks(count: int) -> list[ImageTask]:
    return [ImageTask(i, f"{i}.png", (4, 6), ()) for i in range(count)]


def batches(count: int, size: int) -> list[Batch]:
    every = tasks(count * size)
    return [Batch(0, tuple(every[i : i + size])) for i in range(0, len(every), size)]


def test_batches_come_in_order_with_what_was_loaded_for_them():
    planned = batches(7, 3)
    with worker_threads(4) as pool:
        found = list(ahead_of(planned, lambda task: task.image_id, pool))
    assert [batch for batch, _ in found] == planned
    assert [i for _, loaded in found for i in loaded] == list(range(21))


def test_loading_is_ahead_by_a_fixed_number_of_batches_so_that_memory_is_flat():
    loaded: list[int] = []
    with worker_threads(2) as pool:
        for number, _ in enumerate(ahead_of(batches(40, 2), lambda task: loaded.append(task.image_id), pool), start=1):
            assert 2 * number <= len(loaded) <= 2 * (number + BATCHES_AHEAD)
    assert len(loaded) == 80


def test_a_photo_that_fails_stops_its_batch_and_what_waits_is_dropped():
    def load(task: ImageTask) -> int:
        if task.image_id == 3:
            raise BadImage("3.png is bad")
        return task.image_id

    seen = []
    with pytest.raises(BadImage, match=r"3\.png"), worker_threads(1) as pool:
        for _, loaded in ahead_of(batches(10, 2), load, pool):
            seen += loaded
    assert seen == [0, 1]


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
