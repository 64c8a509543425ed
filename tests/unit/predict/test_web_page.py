from __future__ import annotations

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

from ssc_core import pictures
from ssc_core.errors import SscError
from ssc_core.predict.web_page import HEADERS, SIDE, build_page, look, read_upload, run_page
from ssc_core.predict.zero_shot import ZeroShot
from ssc_core.refer.images import BadImage
from tests.unit.predict.test_zero_shot import photo, toy_settings

__all__ = ["photo"]  # the fixture


def test_candidates_scores_and_choice(photo: np.ndarray) -> None:
    view = look(photo, "dark apple", None, ZeroShot(toy_settings()))
    assert max(view.mask.shape[:2]) == max(view.candidates.shape[:2]) == SIDE
    assert all(len(row) == len(HEADERS) for row in view.rows)
    assert [row[-1] for row in view.rows] == ["yes", ""]
    assert view.rows[0][1] > view.rows[1][1]
    assert "“apple”: 2 candidates" in view.message


def test_the_networks_mask_is_what_is_shown(photo: np.ndarray) -> None:
    def network(images, sentences):
        assert sentences == [["the cup"]]
        return [np.ones((1, 24, 24), bool)]

    view = look(photo, "the cup", network, None)
    assert view.candidates is None
    assert "100.0 %" in view.message


def test_nothing_found_is_said(photo: np.ndarray) -> None:
    view = look(photo, "zebra", None, ZeroShot(toy_settings()))
    assert (view.rows, "The mask is empty" in view.message) == ([], True)


def test_uploads_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.png")
    assert read_upload(tmp_path / "a.png", tmp_path).shape == (60, 80, 3)
    (tmp_path / "eps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n")
    (tmp_path / "other").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "other/b.png")
    (tmp_path / "other/link.png").symlink_to(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 80 * 60 - 1)
    for folder, path, message in [
        (tmp_path, tmp_path / "a.png", r"^a\.png has the size 60 x 80"),
        (tmp_path, tmp_path / "eps.jpg", r"^eps\.jpg "),
        (tmp_path / "other", tmp_path / "a.png", "Upload the photo itself"),
        (tmp_path / "other", Path("b.png"), "Upload the photo itself"),
        (tmp_path / "other", tmp_path / "other/link.png", "Upload the photo itself"),
        (tmp_path, Path("https://photos.example/a.png"), "Upload the photo itself"),
    ]:
        with pytest.raises(BadImage, match=message):
            read_upload(path, folder)


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
    network = lambda images, sentences: [np.eye(24, dtype=bool)[None]]  # noqa: E731
    thread = threading.Thread(target=run_page, args=(build_page(network, None), listener), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers[0].should_exit = True
    thread.join(30)


def _find(address: str, *data: Any) -> str:
    """What the page answers, as events in text."""
    import httpx

    with httpx.Client(base_url=f"{address}/gradio_api", timeout=60) as client:
        event = client.post("/call/find", json={"data": data}).json()["event_id"]
        return client.get(f"/call/find/{event}").text


def test_the_page_as_a_visitor_uses_it(served: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import httpx

    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.png")
    api = f"{served}/gradio_api"
    (uploaded,) = httpx.post(f"{api}/upload", files={"files": ("a.png", (tmp_path / "a.png").read_bytes())}).json()
    assert "event: complete" in _find(served, {"path": uploaded}, "the cup")
    for value in (
        None,
        {"path": str(tmp_path / "a.png")},
        {"path": "/etc/passwd"},
        {"path": "http://photos.example/a"},
    ):
        for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
            answer = _find(served, value and value | meta, "the cup")
            assert "event: error" in answer
            if value is None or not meta:
                assert "Upload the photo itself." in answer or "Give a photo and a sentence." in answer
    assert "Give a photo and a sentence." in _find(served, {"path": uploaded}, "  ")
    assert "up to 1000 are taken" in _find(served, {"path": uploaded}, "a" * 1001)
    assert httpx.get(served, headers={"host": "evil.example"}).status_code == 421
    assert httpx.post(f"{api}/upload", headers={"origin": "http://evil.example"}).status_code == 403
    assert httpx.get(f"{api}/file={tmp_path / 'a.png'}").status_code == 403


def test_an_empty_form_leaves_no_traceback(served: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "Give a photo and a sentence." in _find(served, None, "")
    assert "Traceback" not in "".join(capfd.readouterr())


def test_without_gradio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SscError, match=r"\[serve\]"):
        build_page(None, None)
