"""SIGTERM during a training: the step is ended and its state saved, then the process ends as it was asked to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None


class Termination:
    """A context in which SIGTERM is noted, in ``asked``, and ends the process when the context ends.

    In another thread than the main one, which gets no signals, and where it is ignored, SIGTERM does what it ever does.
    A handler of the caller is called, and SystemExit is raised should it return: what follows the context would take
    half a training for a whole one. Schedulers send it at a
    time limit, or before another job takes the machine, and SIGKILL some 30 seconds later.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Handler = None

    def __enter__(self) -> Termination:
        before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        if before != signal.SIG_IGN and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if self.asked:
            os.kill(os.getpid(), signal.SIGTERM)
            raise SystemExit(128 + signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def outlive_sigterm(_: int) -> None:
    """For a worker process: a scheduler sends SIGTERM to all processes of a job, and the training ends its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
