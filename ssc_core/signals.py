"""SIGTERM and SIGHUP end a process as Ctrl-C does: what it holds is given back, and what is half is removed. None of
the three where it would do harm."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

AGAIN_S = 1.0
"""Seconds that one and the same signal may come several times: a scheduler sends it to all processes of a job, and the
process around the job passes its own on."""


@contextmanager
def ends_in_order() -> Iterator[None]:
    """A context that these signals leave by SystemExit; then the process ends by the signal, as whoever waits expects.

    One that comes again, later than ``AGAIN_S``, ends it at once. Nothing changes where a signal is ignored, as under
    ``nohup``, in a forked child, and in another thread than the main one, which gets none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()
    asked: list[tuple[int, float]] = []

    def leave(number: int, _: FrameType | None) -> None:
        if os.getpid() != process or (asked and time.monotonic() - asked[0][1] > AGAIN_S):
            _end_by(number)
        if not asked:
            asked.append((number, time.monotonic()))
            sys.exit(128 + number)

    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, leave) or signal.SIG_DFL for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            _end_by(asked[0][0])


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


def _end_by(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # a container's first process, which no such signal ends
