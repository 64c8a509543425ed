"""A local HTTP server that behaves as badly as the path asks for."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from ssc_core.weights.download import Patience

CONTENT = b"\x80\x02" + random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IMPATIENT = Patience(tries=3, timeout_s=5, pause_s=0.0, most_bytes=10_000_000)

WARNING = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>
<style nonce="x">.a{{b:c}}</style></head><body><p>Google Drive can&#39;t scan this file for viruses.</p>
<form id="download-form" action="{action}" method="get"><input type="submit" value="Download anyway"/>
<input type="hidden" name="id" value="file-1"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="a-b&amp;c"></form></body></html>
"""
QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title><script>var x = 1;</script></head>
<body><p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p></body></html>
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadServer

    def do_GET(self) -> None:
        mode = self.path.strip("/").split("/")[0]
        self.server.requests[mode] += 1
        self.server.paths.append(self.path)
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

    def _refuses_to_go_on(self) -> None:
        """Breaks off after much, and refuses a request for the rest."""
        if "Range" in self.headers:
            self.send_error(416)
        else:
            self._send(CONTENT, most=1_000_000)

    def _goes_on_elsewhere(self) -> None:
        """Breaks off after much, and answers a request for the rest with bytes from elsewhere."""
        if "Range" in self.headers:
            self._head(206, 0, {"Content-Range": f"bytes 5-14/{len(CONTENT)}"})
        else:
            self._send(CONTENT, most=1_000_000)

    def _never_the_same(self) -> None:
        """Breaks off after much or little in turn, and always has another file."""
        turn = self.server.requests["never_the_same"]
        self._send(CONTENT, etag=f'"{turn}"', most=1_000_000 if turn % 2 else 1000)

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

    def _confirm_form(self) -> None:
        """As Google Drive does since 2024: a form, whose fields must come back. The file can be taken up, too."""
        fields = dict(parse_qsl(urlsplit(self.path).query))
        if fields.get("confirm") == "t" and fields.get("uuid") == "a-b&c" and fields.get("id") == "file-1":
            self._send(CONTENT, most=None if "Range" in self.headers else 1_000_000)
        else:
            self._page(WARNING.format(action=f"http://127.0.0.1:{self.server.server_port}/confirm_form/download"))

    def _confirm_cookie(self) -> None:
        """As Google Drive did before: a cookie, and its word in the address."""
        fields = dict(parse_qsl(urlsplit(self.path).query))
        if fields.get("confirm") == "AbCd" and "download_warning_13=AbCd" in self.headers.get("Cookie", ""):
            self._send(CONTENT)
        else:
            self._page("<html>too large to be scanned</html>", {"Set-Cookie": "download_warning_13=AbCd; Path=/"})

    def _confirm_link(self) -> None:
        if "confirm=AbCd" in self.path:
            self._send(CONTENT)
        else:
            self._page('<html><a href="/confirm_link/x?export=download&amp;confirm=AbCd">download anyway</a></html>')

    def _confirm_for_ever(self) -> None:
        self._page(WARNING.format(action="/confirm_for_ever/download"))

    def _confirm_file(self) -> None:
        self._page(WARNING.format(action="file:///etc/passwd"))

    def _quota(self) -> None:
        self._page(QUOTA)

    def _page(self, text: str, headers: dict[str, str] | None = None) -> None:
        self._head(200, len(text.encode()), {"Content-Type": "text/html; charset=utf-8", **(headers or {})})
        self.wfile.write(text.encode())

    def _drips(self) -> None:
        """The first time, a byte now and then; then what is asked for."""
        if self.server.requests["drips"] > 1:
            self._send(CONTENT)
        else:
            self._head(200, len(CONTENT), {"ETag": '"one"'})
            self.wfile.write(CONTENT[:1000])
            self._drip(CONTENT[1000:2000])

    def _always_drips(self) -> None:
        self._head(200, len(CONTENT), {"ETag": '"one"'})
        self._drip(CONTENT)

    def _drips_headers(self) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\nX-Endless: " + b"x" * 10_000)

    def _drips_a_page(self) -> None:
        self._head(200, 10_000, {})
        self._drip(b"<html>" + b"x" * 10_000)

    def _drip(self, content: bytes) -> None:
        """A byte every 0.1 s, until nobody listens."""
        self.close_connection = True
        for value in content:
            try:
                self.wfile.write(bytes([value]))
            except OSError:
                break
            time.sleep(0.1)

    def _redirect_with_endless_body(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good/x.pth")
        self.end_headers()
        self.close_connection = True
        try:
            for _ in range(1000):
                self.wfile.write(bytes(1_000_000))
        except OSError:
            pass

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

    def _to_nowhere(self) -> None:
        self._head(302, 0, {"Location": "http://[x/"})

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
    """requests: how often each behaviour was asked for; paths, headers_seen: of each request, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: Counter[str] = Counter()
        self.paths: list[str] = []
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
