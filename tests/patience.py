"""How long tests wait. None measures speed: a machine may be ten times slower than the one it was written on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SECONDS = 300
"""After which what has not come hangs. Everything waited for takes seconds at most."""


@contextmanager
def no_hang() -> Iterator[None]:
    """What is inside ends, or fails after ``SECONDS``."""

    def give_up(*_: object) -> NoReturn:
        raise AssertionError(f"it did not end within {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def grows_linearly(read: Callable[[int], object], size: int) -> bool:
    """Whether ``read(size)`` takes at most about ten times as long as ``read(size // 10)``; of CPU time, not a hundred.

    A slow machine is as slow at both.
    """

    def seconds(of: int) -> float:
        started = time.process_time()
        read(of)
        return time.process_time() - started

    read(size // 10)
    small = max(seconds(size // 10), 0.005)
    return any(seconds(size) < 40 * small for _ in range(2))
