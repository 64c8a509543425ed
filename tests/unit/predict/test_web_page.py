from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.predict.exploring import Explorer
from ssc_core.predict.web_page import build_page, run_page
from tests.patience import SECONDS


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a running page whose model sees the left half."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
    pytest.importorskip("gradio", reason="needs the extra 'serve'")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    servers = []
    start = uvicorn.Server.run
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, **given: (servers.append(self), start(self, **given)))
    listener = socket.create_server(("127.0.0.1", 0))
    network = lambda images, sentences: [np.eye(24, dtype=np.float32)[None]]  # noqa: E731
    thread = threading.Thread(target=run_page, args=(build_page(Explorer(network, None)), listener), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers[0].should_exit = True
    thread.join(30)


def _find(address: str, *data: Any) -> str:
    """What the page answers, as events in text."""
    import httpx

    with httpx.Client(base_url=f"{address}/gradio_api", timeout=SECONDS) as client:
        event = client.post("/call/find", json={"data": [*data, "", None]}).json()["event_id"]
        return client.get(f"/call/find/{event}").text


def test_the_page_as_a_visitor_uses_it(served: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import httpx

    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.png")
    api = f"{served}/gradio_api"
    (uploaded,) = httpx.post(f"{api}/upload", files={"files": ("a.png", (tmp_path / "a.png").read_bytes())}).json()
    assert "mask.png" in _find(served, {"path": uploaded}, "the cup")
    for value in (
        {"path": str(tmp_path / "a.png")},
        {"path": "/etc/passwd"},
        {"path": "http://photos.example/a"},
    ):
        for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
            answer = _find(served, value | meta, "the cup")
            assert "event: error" in answer if meta else "Upload the photo itself." in answer
            assert "mask.png" not in answer
    assert httpx.get(f"{served}/openapi.json").status_code == 404
    assert httpx.get(served, headers={"host": "evil.example"}).status_code == 421
    assert httpx.post(f"{api}/upload", headers={"origin": "http://evil.example"}).status_code == 403
    assert httpx.get(f"{api}/file={tmp_path / 'a.png'}").status_code == 403


def test_a_refusal_is_a_message_and_no_error_that_lies_over_the_pictures(
    served: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import httpx

    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.png")
    files = {"files": ("a.png", (tmp_path / "a.png").read_bytes())}
    (uploaded,) = httpx.post(f"{served}/gradio_api/upload", files=files).json()
    for photo, sentence, words in (
        (None, "", "Give a photo and a sentence."),
        (None, "the cup", "Give a photo and a sentence."),
        ({"path": uploaded}, "  ", "Give a photo and a sentence."),
        ({"path": uploaded}, "a" * 1001, "up to 1000 are taken"),
    ):
        answer = _find(served, photo, sentence)
        assert "event: complete" in answer
        assert words in answer
        assert json.loads(answer.partition("data: ")[2])[0] is None, "no mask of what was asked before"
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_gradio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SscError, match=r"\[serve\]"):
        build_page(Explorer(lambda *_: [], None))
