from __future__ import annotations

import threading

import pytest

from ssc_core.prefetch import ahead, batches_ahead, worker_threads
from tests.patience import SECONDS


def test_results_come_in_order_and_a_bounded_number_ahead() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return item

    with worker_threads(2) as pool:
        stream = ahead(work, range(20), pool, 3)
        first = next(stream)
        assert first == 0
        assert len(started) <= 4
        assert [first, *stream] == list(range(20))


def test_work_goes_on_while_the_caller_has_an_item() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            second.set()
        return item

    with worker_threads(1) as pool:
        stream = ahead(work, range(3), pool, 1)
        assert next(stream) == 0
        assert second.wait(SECONDS)


def test_batches_keep_their_items_and_memory_is_flat() -> None:
    loaded: list[int] = []
    batches = [range(start, start + 2) for start in range(0, 80, 2)] + [range(80, 81)]
    with worker_threads(2) as pool:
        found = []
        for number, batch in enumerate(batches_ahead(lambda i: loaded.append(i) or -i, batches, pool, 3), start=1):
            assert min(2 * number, 81) <= len(loaded) <= 2 * (number + 3)
            found.append(batch)
    assert found == [[-i for i in batch] for batch in batches]
    with worker_threads(1) as pool:
        assert list(batches_ahead(str, [], pool, 3)) == []


def test_an_item_that_fails_stops_its_batch_and_what_waits_is_dropped() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("3 is bad")
        return item

    seen: list[int] = []
    batches = [range(start, start + 2) for start in range(0, 20, 2)]
    with pytest.raises(ValueError, match="3 is bad"), worker_threads(1) as pool:
        for batch in batches_ahead(work, batches, pool, 3):
            seen += batch
    assert seen == [0, 1]
