"""HTTP and HTTPS with servers that are not trusted: what is asked for ends in time, whatever drips."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP status codes that may be gone in a moment."""


class Deadline:
    """Seconds for what is done in its block: then its lines are hung up, and the block ends with a TimeoutError.

    A socket's own timeout begins anew with every byte, be it of the TLS handshake, of headers or of a body.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lines: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._over = False

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # so that it hangs up no line that is closed, and whose number is another's by then
        for line in self._lines:
            line.close()
        if self._over:  # also where a line's end looked like that of an answer
            raise TimeoutError(f"no answer within {self._seconds:g} s")

    def watch(self, line: socket.socket) -> None:
        """Hang up this line, too. Called before TLS takes the socket over."""
        self._lines.append(line.dup())
        if self._over:
            self._ring()

    def _ring(self) -> None:
        self._over = True
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class _InTime(urllib.request.AbstractHTTPHandler):
    """http and https for an OpenerDirector, within a deadline."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watched(_Connection), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watched(_TlsConnection), request, context=_certificates())

    def _watched(self, kind: type[_Connection]) -> Callable[..., _Connection]:
        def connection(*arguments: Any, **named: Any) -> _Connection:
            made = kind(*arguments, **named)
            made.deadline = self._deadline
            return made

        return connection


def opener(deadline: Deadline, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """http and https only, unlike urllib's own, which also reads file:// and ftp://. Proxies come from the environment.

    Without more handlers an answer is handed out whatever its status is, and leads nowhere else.
    """
    made = urllib.request.OpenerDirector()
    made.addheaders = []
    own = (urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), _InTime(deadline))
    for handler in (*own, *handlers):
        made.add_handler(handler)
    return made


class _Connection(http.client.HTTPConnection):
    deadline: Deadline

    def connect(self) -> None:
        self._create_connection = self._watched  # before a proxy is asked for a tunnel, whose answer may drip, too
        super().connect()

    def _watched(self, *arguments: Any, **named: Any) -> socket.socket:
        line = socket.create_connection(*arguments, **named)
        self.deadline.watch(line)
        return line


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    """In this order, the line is watched before the TLS handshake."""


@cache
def _certificates() -> ssl.SSLContext:
    """Made once: reading all certificates takes longer than a request."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
