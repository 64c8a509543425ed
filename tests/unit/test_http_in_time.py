"""Lines that are hung up when their time has run out."""

from __future__ import annotations

import socket
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ssc_core.http_in_time import Deadline, opener
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


def test_a_proxy_that_drips_while_it_is_asked_for_a_tunnel_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def drip() -> None:
        line, _ = proxy.accept()
        with line, suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.01):
                line.sendall(b"a")  # of one header

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        thread = threading.Thread(target=drip)
        thread.start()
        with no_hang(), pytest.raises((TimeoutError, urllib.error.URLError)), Deadline(0.2) as deadline:
            opener(deadline).open("https://files.example/a", timeout=SECONDS)
        ended.set()
        thread.join()
