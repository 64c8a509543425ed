"""The server behind the page of ``ssc review``: this machine alone, by a token, and nothing but what the page needs.

Python's own HTTP server: the page is one file, one person uses it, and keys must answer at once.
"""

from __future__ import annotations

import json
import re
import secrets
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from ssc_core.errors import SscError
from ssc_core.review.queue import Overtaken, Queue

LOCAL = frozenset({"localhost", "127.0.0.1"})
MAX_BYTES = 4096
"""Of a decision or a box."""

MAX_UPLOAD = 16 * 2**20
"""Bytes of an uploaded mask: a PNG of two colours takes far less."""

_PAGE = Path(__file__).parent / "page"
_REF = re.compile(r"/(ref|photo|marked|draft)/(-?\d{1,18})")


class _Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class ReviewServer(ThreadingHTTPServer):
    """Serves ``queue`` on 127.0.0.1. who: in whose name decisions are written; port 0: a free one.

    A request needs the token of ``url``, a ``Host`` that is this machine (a page elsewhere may have its own name point
    here), and no ``Origin`` of another page.
    """

    daemon_threads = True

    def __init__(self, queue: Queue, who: str, port: int = 0) -> None:
        self.queue, self.who, self.token = queue, who, secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise SscError(f"cannot listen on port {port} ({error.strerror}); choose another --port") from error

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error to show."""


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = 30
    server_version, sys_version = "ssc", ""
    _common: ClassVar = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses have the token in them."""

    def _answer(self, find: Callable[[], None]) -> None:
        try:
            self._check()
            find()
        except _Refused as refused:
            self.close_connection = True  # a body that was not read would be taken for the next request
            self._send_json({"error": str(refused)}, refused.status)
        except SscError as error:
            self._send_json({"error": str(error)}, 409 if isinstance(error, Overtaken) else 400)
        except (ConnectionError, TimeoutError):
            raise  # the browser went away
        except Exception as error:  # a segmenter may fail in any way at all; the page says so and goes on
            traceback.print_exc()
            self._send_json({"error": f"That failed ({type(error).__name__}: {error!s:.200}). It is not saved."}, 500)

    def _check(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or _name(hosts[0]) not in LOCAL:
            raise _Refused(421, "This page is at 127.0.0.1 alone.")
        if any(origin != f"http://{hosts[0]}" for origin in self.headers.get_all("Origin", [])):
            raise _Refused(403, "Another page may not use this one.")
        token = self._query.get("token", [""])[0]
        if not compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            raise _Refused(403, "Open the address that `ssc review` printed: it ends with a token.")

    @property
    def _query(self) -> dict[str, list[str]]:
        try:
            return parse_qs(self.path.partition("?")[2], max_num_fields=8)
        except ValueError as error:
            raise _Refused(400, "The page sends no such address.") from error

    def _get(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._send_page()
        elif path == "/refs":
            self._send_json(self.server.queue.list())
        elif found := _REF.fullmatch(path):
            what, ref_id = found[1], int(found[2])
            if what == "ref":
                self._send_json(self.server.queue.ref(ref_id))
            elif what == "draft":
                self._send(self.server.queue.draft_picture(ref_id), "image/jpeg")
            else:
                self._send(self.server.queue.picture(ref_id, self._first() if what == "marked" else None), "image/jpeg")
        else:
            raise _Refused(404, "There is no such page.")

    def _first(self) -> int:
        first = self._query.get("first", ["0"])[0]
        return int(first) if re.fullmatch(r"\d{1,6}", first, re.ASCII) else 0

    def _post(self) -> None:
        queue, path = self.server.queue, self.path.partition("?")[0]
        if path == "/decide":
            asked = _asked(self._body("application/json", MAX_BYTES))
            queue.decide(asked.ref_id, asked.decision, asked.number, self.server.who, asked.draft, asked.turn)
            self._send_json(queue.ref(asked.ref_id))
        elif path == "/draw":
            asked = _asked(self._body("application/json", MAX_BYTES))
            self._send_json(queue.draw(asked.ref_id, asked.box))
        elif path == "/upload":
            ref_id = self._query.get("ref", [""])[0]
            if not re.fullmatch(r"-?\d{1,18}", ref_id, re.ASCII):
                raise _Refused(400, "Say of which ref the mask is.")
            self._send_json(queue.upload(int(ref_id), self._body("image/png", MAX_UPLOAD)))
        else:
            raise _Refused(404, "There is no such page.")

    def _body(self, kind: str, most: int) -> bytes:
        """What was sent, if it is of a kind and not too long; nothing else is read."""
        if self.headers.get_content_type() != kind:
            raise _Refused(415, f"Send {kind}.")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length, re.ASCII) or int(length) > most:
            raise _Refused(413, f"What is sent has a length, of at most {most} bytes.")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise _Refused(400, "Less came than was said.")
        return body

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = (_PAGE / "review.html").read_text(encoding="utf-8")
        for name in ("review.css", "review.js"):
            page = page.replace(f"/* {name} */", (_PAGE / name).read_text(encoding="utf-8"))
        policy = (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'nonce-{nonce}'; "
            f"script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._send(
            page.replace("NONCE", nonce).encode(),
            "text/html; charset=utf-8",
            headers={"Content-Security-Policy": policy},
        )

    def _send_json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**self._common, **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request names; what it does not need is left as it is here."""

    ref_id: int
    decision: str = ""
    number: int | None = None
    draft: int | None = None
    turn: int | None = None
    box: Sequence[float] = ()


def _asked(body: bytes) -> _Asked:
    try:
        found = json.loads(body)
        asked = _Asked(found.pop("ref"), **found)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _Refused(400, "That is no decision and no box.") from error
    numbers = (asked.number, asked.draft, asked.turn)
    if (
        type(asked.ref_id) is not int
        or not isinstance(asked.decision, str)
        or not all(one is None or type(one) is int for one in numbers)
        or not isinstance(asked.box, list | tuple)
        or not all(type(one) in (int, float) for one in asked.box)
    ):
        raise _Refused(400, "That is no decision and no box.")
    return asked


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
