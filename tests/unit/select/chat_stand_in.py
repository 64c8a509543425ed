"""A server with the OpenAI chat format on the loopback, that behaves as it is told."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image


class Request:
    """What the server was sent. picture: RGB uint8 (H, W, 3); text: the question."""

    def __init__(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> None:
        self.path, self.headers, self.body = path, dict(headers), body
        image, text = body["messages"][0]["content"]
        encoded = image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        self.picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        self.text: str = text["text"]


Reply = Callable[["Handler", Request], None]
"""Writes an answer, or something else."""


class StandIn(ThreadingHTTPServer):
    """requests: what came, in order; replies: of the first requests, one each; usual: of all others."""

    daemon_threads = True

    def __init__(self, usual: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.usual, self.replies = usual, list[Reply]()
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell."""


class Handler(BaseHTTPRequestHandler):
    server: StandIn
    timeout = 10

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = Request(self.path, self.headers, body)
        with self.server.lock:
            self.server.requests.append(request)
            reply = self.server.replies.pop(0) if self.server.replies else self.server.usual
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        self.counted = True
        try:
            reply(self, request)
        finally:
            self.no_longer_counted()

    def no_longer_counted(self) -> None:
        """Before the client has its answer: as soon as it has, it may send the next request."""
        with self.server.lock:
            self.server.at_once -= self.counted
            self.counted = False

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.no_longer_counted()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def tokens(found: Mapping[str, float], *, before: tuple[str, ...] = ()) -> Reply:
    """An answer with these tokens and log probabilities; before: tokens that come first."""

    def reply(handler: Handler, request: Request) -> None:
        places = [{"token": one, "logprob": -0.1, "top_logprobs": []} for one in before]
        likely = [{"token": token, "logprob": value, "bytes": None} for token, value in found.items()]
        places.append(
            {"token": max(found, key=found.__getitem__), "logprob": max(found.values()), "top_logprobs": likely}
        )
        handler.send(200, json.dumps(answer({"content": places})).encode())

    return reply


def answer(logprobs: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "2"}, "logprobs": logprobs}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": 1234}}


def status(code: int, message: str = "busy", **headers: str) -> Reply:
    return lambda handler, request: handler.send(code, json.dumps({"error": {"message": message}}).encode(), **headers)


def content(body: bytes, **headers: str) -> Reply:
    return lambda handler, request: handler.send(200, body, **headers)


def breaks_off(handler: Handler, request: Request) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')


def drips(handler: Handler, request: Request) -> None:
    """A byte now and then, more often than a read times out."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def drips_headers(handler: Handler, request: Request) -> None:
    handler.send_response(200)
    handler.flush_headers()
    for n in range(90):
        handler.wfile.write(b"X-%d: a\r\n" % n)
        time.sleep(0.05)


def continues_for_ever(handler: Handler, request: Request) -> None:
    """Says again and again that an answer will come."""
    for _ in range(200):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def after(seconds: float, then: Reply) -> Reply:
    def reply(handler: Handler, request: Request) -> None:
        time.sleep(seconds)
        then(handler, request)

    return reply


@contextmanager
def stand_in(usual: Reply) -> Iterator[StandIn]:
    server = StandIn(usual)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
