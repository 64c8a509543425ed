"""Signals that end a process, held back where they would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def held_back() -> Iterator[None]:
    """A context after which signals, Ctrl-C among them, have their effect, for calls of a C library that calls Python
    back: an exception that comes from nowhere there is nothing that it expects."""
    came: list[int] = []
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}
    try:
        if threading.current_thread() is threading.main_thread():  # no other hears signals
            for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if callable(handler := signal.getsignal(one)):
                    before[one] = handler
                    signal.signal(one, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
