"""A local HTTP server that behaves as badly as the path asks for."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ssc_core.weights.download import Patience

CONTENT = b"PK" + random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IMPATIENT = Patience(tries=3, timeout_s=5, pause_s=0.0, most_bytes=10_000_000)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadServer

    def do_GET(self) -> None:
        mode = self.path.strip("/").split("/")[0]
        self.server.requests[mode] += 1
        self.server.headers_seen.append(dict(self.headers))
        getattr(self, f"_{mode}", self._missing)()

    def _good(self) -> None:
        self._send(CONTENT)

    def _missing(self) -> None:
        self.send_error(404)

    def _breaks_off(self) -> None:
        """Sends a million bytes of what is asked for, then closes the connection."""
        self._send(CONTENT, most=1_000_000)

    def _breaks_at_once(self) -> None:
        self._send(CONTENT, most=1000)

    def _forgets(self) -> None:
        """Breaks off the first time, has another file of the same length the second time."""
        again = self.server.requests["forgets"] > 1
        self._send(CONTENT[::-1] if not again else CONTENT, etag=f'"{again}"', most=None if again else 1_000_000)

    def _no_ranges(self) -> None:
        again = self.server.requests["no_ranges"] > 1
        self.headers.replace_header("Range", "") if "Range" in self.headers else None
        self._send(CONTENT, most=None if again else 2_000_000)

    def _wrong_range(self) -> None:
        """Answers a request to go on with bytes from elsewhere in the file, and says so."""
        if "Range" in self.headers:
            self._head(206, 10, {"Content-Range": f"bytes 5-14/{len(CONTENT)}"})
            self.wfile.write(CONTENT[5:15])
        else:
            self._send(CONTENT, most=1_000_000 if self.server.requests["wrong_range"] == 1 else None)

    def _too_long(self) -> None:
        self._head(200, len(CONTENT) + 1000, {})
        self.wfile.write(CONTENT)
        self.close_connection = True

    def _too_short(self) -> None:
        self._head(200, len(CONTENT) - 1000, {})
        self.wfile.write(CONTENT)
        self.close_connection = True

    def _endless(self) -> None:
        self._head(200, None, {"Connection": "close"})
        try:
            for _ in range(200):
                self.wfile.write(bytes(100_000))
        except OSError:
            pass
        self.close_connection = True

    def _wrong_bytes(self) -> None:
        self._send(CONTENT[:-1] + b"?")

    def _web_page(self) -> None:
        self._send(b"<html>log in first</html>")

    def _re_encoded(self) -> None:
        self._head(200, 4, {"Content-Encoding": "gzip"})
        self.wfile.write(b"abcd")

    def _busy(self) -> None:
        if self.server.requests["busy"] < 3:
            self.send_error(503)
        else:
            self._send(CONTENT)

    def _redirect(self) -> None:
        self._head(302, 0, {"Location": "/good/x.pth"})

    def _round(self) -> None:
        self._head(302, 0, {"Location": "/round/x.pth"})

    def _to_file(self) -> None:
        self._head(302, 0, {"Location": "file:///etc/passwd"})

    def _send(self, content: bytes, *, most: int | None = None, etag: str = '"one"') -> None:
        start = 0
        asked = self.headers.get("Range", "")
        if asked and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            where = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self._head(206, len(content) - start, {"ETag": etag, **where})
        else:
            self._head(200, len(content), {"ETag": etag})
        self.wfile.write(content[start : None if most is None else start + most])
        if most is not None:
            self.close_connection = True

    def _head(self, status: int, length: int | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class BadServer(ThreadingHTTPServer):
    """requests: how often each behaviour was asked for; headers_seen: of each request, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.headers_seen: list[dict[str, str]] = []

    def url(self, mode: str, name: str = "x.pth") -> str:
        return f"http://127.0.0.1:{self.server_port}/{mode}/{name}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    monkeypatch.setenv("no_proxy", "*")
    with BadServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
