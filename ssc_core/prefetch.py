"""Reading ahead: threads load what comes next while a model works on what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_threads(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool; what still waits in it is dropped when the stage ends early."""
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="ssc-loader")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], pool: ThreadPoolExecutor, count: int
) -> Iterator[Result]:
    """``map`` by the pool's threads, in order, never more than ``count`` items beyond those that were taken."""
    running: deque[Future[Result]] = deque()
    for item in items:
        running.append(pool.submit(work, item))
        if len(running) > count:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def batches_ahead(
    work: Callable[[Item], Result], batches: Iterable[Sequence[Item]], pool: ThreadPoolExecutor, count: int
) -> Iterator[list[Result]]:
    """For each batch what ``work`` makes of its items, in order; at most ``count`` more batches are worked on."""
    running: deque[list[Future[Result]]] = deque()
    for batch in batches:
        running.append([pool.submit(work, item) for item in batch])
        if len(running) > count:
            yield [item.result() for item in running.popleft()]
    while running:
        yield [item.result() for item in running.popleft()]
