"""Lines that are hung up when their time has run out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ssc_core.http_in_time import Deadline
from tests.patience import SECONDS, no_hang


@pytest.fixture
def line() -> Iterator[socket.socket]:
    """A line on which nothing comes."""
    here, there = socket.socketpair()
    with here, there:
        yield here


def test_what_waits_for_a_line_gets_its_end_and_the_block_an_error(line: socket.socket) -> None:
    with no_hang(), pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"), Deadline(0.05) as deadline:
        deadline.watch(line)
        got = line.recv(1)
    assert got == b""


def test_a_line_that_comes_too_late_is_hung_up_at_once(line: socket.socket) -> None:
    first, other = socket.socketpair()
    with no_hang(), first, other, pytest.raises(TimeoutError), Deadline(0.01) as deadline:
        deadline.watch(first)
        first.recv(1)
        deadline.watch(line)
        got = line.recv(1)
    assert got == b""


def test_a_line_is_its_owners_again_after_the_block(line: socket.socket) -> None:
    with Deadline(SECONDS) as deadline:
        deadline.watch(line)
    line.settimeout(0.01)
    with pytest.raises(TimeoutError):
        line.recv(1)
