"""SIGTERM while something runs that wants to end in order."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ssc_core.correct.termination import Termination


@pytest.fixture(autouse=True)
def _handler_of_before():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_handler_that_returns_does_not_let_it_go_on() -> None:
    heard = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with pytest.raises(SystemExit) as ended, Termination() as end:
        os.kill(os.getpid(), signal.SIGTERM)
        assert end.asked
        assert heard == []
    assert heard == [signal.SIGTERM]
    assert ended.value.code == 143


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Termination() as end:
        os.kill(os.getpid(), signal.SIGTERM)
    assert not end.asked
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_without_the_signal_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Termination() as end:
        assert signal.getsignal(signal.SIGTERM) != before
    assert not end.asked
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_have_no_signals_to_note() -> None:
    found = []

    def enter() -> None:
        with Termination() as end:
            found.append(end.asked)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]
