"""What stands before the page of ``ssc serve``: by which name it is asked for, what may be sent to it, and how much."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BYTES = 32 * 2**20
"""Of a request's body, a photo included."""

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_API = "/gradio_api"
_POSTS = tuple(f"{_API}/{name}" for name in ("upload", "queue/join", "run/", "api/", "call/", "cancel", "reset"))
"""What the page sends to. Gradio has more: it records screens and edits its own pages."""


class _TooLarge(Exception):
    pass


class Gate:
    """ASGI middleware that refuses what the page does not need.

    * A ``Host`` that is neither a local name, nor the address that the request came in on, nor one of ``hosts``: a page
      elsewhere may have its own name point here (DNS rebinding), and the browser would let it read the answers.
    * An ``Origin`` that is another page than this one.
    * POST to what the page never uses, and more than ``max_bytes`` in a request.
    """

    def __init__(self, app: App, hosts: Iterable[str] = (), max_bytes: int = MAX_BYTES) -> None:
        self._app, self._max_bytes = app, max_bytes
        self._hosts = LOCAL | {_name(host) for host in hosts}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refusal is not None:
            await _answer(send, scope, *refusal)
            return
        taken, started, ended = 0, False, False

        async def counted() -> Message:
            nonlocal taken, ended
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                ended = True
                if not started:
                    await _answer(send, scope, 413, self._too_large())
                raise _TooLarge
            return message

        async def passed_on(message: Message) -> None:
            nonlocal started
            started = True
            if not ended:
                await send(message)

        with suppress(_TooLarge):
            await self._app(scope, counted, passed_on)

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """Status and words, or None for what may pass."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        (host,) = hosts if len(hosts := headers.get("host", [])) == 1 else ("",)
        known = {*self._hosts, _name(scope["server"][0])} if scope.get("server") else self._hosts
        if _name(host) not in known:
            name = _name(host) or host
            return 421, f"This page is not known as '{name:.200}'. If it should be: ssc serve --allow-host {name:.200}"
        if any(origin.partition("://")[2] != host for origin in headers.get("origin", [])):
            return 403, "Another page may not use this one."
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            if scope["method"] != "POST" or not scope["path"].startswith(_POSTS):
                return 405, "This page does not use that."
            length = headers.get("content-length", ["0"])[0]
            if length.isdigit() and int(length) > self._max_bytes:
                return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"Too large: {self._max_bytes / 2**20:.0f} MB are taken."


async def _answer(send: Send, scope: Message, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{words}\n".encode()})


def _name(host: str) -> str:
    """Host name or address without its port, as names are compared; "" for what is none."""
    try:
        bare = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        return (urlsplit(f"//{bare}").hostname or "").rstrip(".")
    except ValueError:
        return ""


@contextmanager
def private_temporary_folder() -> Iterator[Path]:
    """A folder for all temporary files of this process, removed when it ends, by Ctrl+C or, as ``ssc``, a signal too.

    To be entered before Gradio is imported, which asks for the folder once.
    """
    with tempfile.TemporaryDirectory(prefix="ssc-serve-", ignore_cleanup_errors=True) as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            del os.environ["GRADIO_TEMP_DIR"]
