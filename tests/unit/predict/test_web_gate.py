from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ssc_core.predict.web_gate import Gate, private_temporary_folder
from tests.patience import SECONDS

UPLOAD = "/gradio_api/upload"


def ask(
    gate: Gate,
    path: str = "/",
    *,
    method: str = "GET",
    host: str | None = "127.0.0.1:7860",
    chunks: tuple[bytes, ...] = (b"",),
    server: tuple[str, int] = ("127.0.0.1", 7860),
    **headers: str,
) -> tuple[int, str]:
    """Status and words of the answer to a request whose body comes in ``chunks``."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    given += [(b"host", host.encode())] if host is not None else []
    scope = {"type": "http", "method": method, "path": path, "headers": given, "server": server}
    parts = iter(chunks)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        body = next(parts)
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    starts = [one["status"] for one in sent if one["type"] == "http.response.start"]
    assert len(starts) == 1, "one answer"
    return starts[0], b"".join(one.get("body", b"") for one in sent).decode()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads all that is sent, and answers as Starlette does: an error with a page of its own, then the error again."""
    try:
        while scope["method"] == "POST" and (await receive())["body"]:
            pass
    except Exception:
        await send({"type": "http.response.start", "status": 500})
        raise
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"the page"})


@pytest.mark.parametrize(
    ("host", "server", "status"),
    [
        ("127.0.0.1:7860", "127.0.0.1", 200),
        ("localhost", "127.0.0.1", 200),
        ("LOCALHOST.:7860", "127.0.0.1", 200),
        ("[::1]:7860", "::1", 200),
        ("192.168.1.5:7860", "192.168.1.5", 200),
        ("[fe80::7]:7860", "fe80::7", 200),
        ("box.example:7860", "192.168.1.5", 200),
        ("evil.example", "127.0.0.1", 421),
        ("localhost.evil.example:7860", "127.0.0.1", 421),
        ("127.0.0.1.evil.example", "127.0.0.1", 421),
        ("192.168.1.6", "192.168.1.5", 421),
        ("localhost@evil.example", "127.0.0.1", 421),
        ("", "127.0.0.1", 421),
        ("[", "127.0.0.1", 421),
        (None, "127.0.0.1", 421),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str | None, server: str, status: int) -> None:
    found, words = ask(Gate(app, ["box.example"]), host=host, server=(server, 7860))
    assert found == status
    if status == 421:
        assert "--allow-host" in words


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
        ("http://127.0.0.1:3000", 403),
    ],
)
def test_other_pages_may_not_use_this_one(origin: str, status: int) -> None:
    assert ask(Gate(app), UPLOAD, method="POST", origin=origin)[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", UPLOAD, 200),
        ("POST", "/gradio_api/queue/join", 200),
        ("POST", "/gradio_api/process_recording", 405),
        ("POST", "/gradio_api/vibe-edit", 405),
        ("PUT", UPLOAD, 405),
        ("GET", "/config", 200),
    ],
)
def test_what_the_page_does_not_use_is_closed(method: str, path: str, status: int) -> None:
    assert ask(Gate(app), path, method=method)[0] == status


def test_size_is_limited_whether_it_is_said_or_not() -> None:
    gate = Gate(app, max_bytes=100)
    assert ask(gate, UPLOAD, method="POST", content_length="101")[0] == 413
    assert ask(gate, UPLOAD, method="POST", chunks=(b"a" * 60, b"a" * 41))[0] == 413
    assert ask(gate, UPLOAD, method="POST", chunks=(b"a" * 60, b"a" * 40, b""))[0] == 200


def test_the_temporary_folder_is_gone_afterwards() -> None:
    before = tempfile.gettempdir()
    with private_temporary_folder() as folder:
        assert Path(tempfile.mkdtemp()).parent == folder == Path(os.environ["GRADIO_TEMP_DIR"])
        assert folder.stat().st_mode & 0o077 == 0, "nobody else reads the photos"
    assert not folder.exists()
    assert (tempfile.gettempdir(), "GRADIO_TEMP_DIR" in os.environ) == (before, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_removes_it_too(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import time; from ssc_core.predict.web_gate import private_temporary_folder\n"
        "from ssc_core.signals import ends_in_order\n"  # as `ssc` is run
        "with ends_in_order(), private_temporary_folder() as folder:\n"
        "    (folder / 'photo').touch(); print(folder, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # what shells start in the background ignores SIGINT, and so would all that these tests start
    heard = partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(command, **pipes, env=environment, preexec_fn=heard) as process:
        folder = Path(process.stdout.readline().decode().strip())
        assert (folder / "photo").exists()
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
    assert not list(tmp_path.iterdir())
