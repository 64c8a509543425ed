"""Downloads from a server that breaks off, lies and redirects."""

from __future__ import annotations

import dataclasses
import io
import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.weights import download as module
from ssc_core.weights.download import SourceFailed, download, forget
from tests.patience import no_hang
from tests.unit.weights.conftest import CONTENT, IMPATIENT, WARNING, BadServer


@pytest.mark.parametrize(
    "mode",
    [
        "good",
        "redirect",
        "breaks_off",
        "no_ranges",
        "busy",
        "wrong_range",
        "redirect_with_endless_body",
        "confirm_form",
        "confirm_cookie",
        "confirm_link",
    ],
)
def test_the_file_arrives_whole(server: BadServer, tmp_path: Path, mode: str) -> None:
    part = tmp_path / "x.part"
    download(server.url(mode), part, size=len(CONTENT), patience=IMPATIENT)
    assert part.read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_stopped(server: BadServer, tmp_path: Path) -> None:
    download(server.url("breaks_off"), tmp_path / "x.part", patience=IMPATIENT)
    ranges = [headers.get("Range") for headers in server.headers_seen]
    assert ranges[0] is None
    assert ranges[1:] == ["bytes=1000000-", "bytes=2000000-", "bytes=3000000-"]


def test_a_later_call_goes_on_too(server: BadServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    for start in (0, 1000, 2000):
        with pytest.raises(SourceFailed, match=f"broke off at {start + 1000} of"):
            download(server.url("breaks_at_once"), part, patience=dataclasses.replace(IMPATIENT, tries=1))
        assert part.read_bytes() == CONTENT[: start + 1000]
    assert [headers.get("Range") for headers in server.headers_seen] == [None, "bytes=1000-", "bytes=2000-"]


@pytest.mark.parametrize("mode", ["refuses_to_go_on", "goes_on_elsewhere", "never_the_same"])
def test_the_same_bytes_again_are_no_progress(server: BadServer, tmp_path: Path, mode: str) -> None:
    with no_hang(), pytest.raises(SourceFailed, match=r"\(3 tries\)"):
        download(server.url(mode), tmp_path / "x.part", patience=IMPATIENT)
    assert server.requests[mode] == 4


def test_what_is_here_of_another_address_hides_no_progress(server: BadServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(bytes(5_000_000))
    download(server.url("breaks_off"), part, patience=dataclasses.replace(IMPATIENT, tries=1))
    assert part.read_bytes() == CONTENT


def test_a_whole_file_is_not_asked_for_again(server: BadServer, tmp_path: Path) -> None:
    for _ in range(2):
        download(server.url("good"), tmp_path / "x.part", patience=IMPATIENT)
    assert server.requests["good"] == 1


def test_a_file_that_changed_starts_over(server: BadServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    download(server.url("forgets"), part, patience=IMPATIENT)
    assert part.read_bytes() == CONTENT


def test_what_another_address_sent_is_not_continued(server: BadServer, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"other")
    (tmp_path / "x.part.json").write_text(json.dumps({"url": "http://elsewhere/", "validator": '"one"', "total": 9}))
    download(server.url("good"), part, patience=IMPATIENT)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["", "[]", "{", '{"url": 3}', '{"validator": []}'])
def test_a_damaged_note_is_no_note(server: BadServer, tmp_path: Path, note: str) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"other")
    (tmp_path / "x.part.json").write_text(note)
    download(server.url("good"), part, patience=IMPATIENT)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("mode", "size", "message"),
    [
        ("missing", None, "404"),
        ("breaks_at_once", None, "broke off at"),
        ("too_long", None, r"broke off at \d+ of 3001002|does not go with"),
        ("too_long", len(CONTENT), "has a file of 3001002 bytes, the right one has 3000002"),
        ("too_short", len(CONTENT), "has a file of 2999002 bytes"),
        ("endless", None, "more than 10000000 bytes"),
        ("endless", 5000, "more than 5000 bytes"),
        ("re_encoded", None, "re-encoded"),
        ("round", None, "redirect"),
        ("to_file", None, "file:///etc/passwd"),
        ("to_nowhere", None, "Invalid IPv6 URL"),
        ("confirm_file", None, "unknown url type: file"),
        ("confirm_for_ever", None, "a web page came instead of the file, and says: .Google Drive - Virus scan warning"),
        ("web_page", None, "says: 'log in first'. Open the address in a browser"),
        (
            "quota",
            None,
            "says: \"Google Drive - Quota exceeded Sorry, you can't view or download this file at this time",
        ),
    ],
)
def test_a_bad_source_is_named(server: BadServer, tmp_path: Path, mode: str, size: int | None, message: str) -> None:
    with pytest.raises(SourceFailed, match=message) as caught:
        download(server.url(mode), tmp_path / "x.part", size=size, patience=IMPATIENT)
    assert "/x.pth" in str(caught.value)


def test_a_connection_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"refused.*3 tries"):
        download("http://127.0.0.1:9/x.pth", tmp_path / "x.part", patience=IMPATIENT)


def test_an_unknown_host_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    calls = []

    def unknown(*arguments: object) -> None:
        calls.append(arguments)
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(SourceFailed, match="not known"):
        download("http://nowhere.invalid/x.pth", tmp_path / "x.part", patience=IMPATIENT)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "unknown url type"),
        ("ftp://127.0.0.1/x", "unknown url type"),
        ("http://127.0.0.1:9/a b.pth", "can't contain control characters"),
        ("http://127.0.0.1:9/ü.pth", "can't encode"),
        ("http://127.0.0.1:port/x.pth", "nonnumeric port"),
        ("http://[x/x.pth", "Invalid IPv6 URL"),
    ],
)
def test_an_address_that_is_none_is_not_tried_again(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(SourceFailed, match=message) as caught:
        download(url, tmp_path / "x.part", patience=IMPATIENT)
    assert "tries" not in str(caught.value)


def test_https_is_not_left_for_http() -> None:
    import urllib.request

    request = urllib.request.Request("https://good.example/x.pth")
    with pytest.raises(SourceFailed, match="not encrypted"):
        module._SafeRedirects().redirect_request(request, None, 302, "", {}, "http://good.example/x.pth")


def test_a_proxy_of_the_environment_is_used(server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(SourceFailed, match="404"):  # the server reads the whole address as a path
        download("http://far.example/good/x.pth", tmp_path / "x.part", patience=IMPATIENT)
    assert server.headers_seen[0]["Host"] == "far.example"


def test_a_disk_that_is_too_small(server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = module.shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SscError, match="1 MiB free, 2 MiB are needed"):
        download(server.url("good"), tmp_path / "x.part", patience=IMPATIENT)


def test_forget(tmp_path: Path) -> None:
    (tmp_path / "x.part").touch()
    (tmp_path / "x.part.json").touch()
    forget(tmp_path / "x.part")
    assert list(tmp_path.iterdir()) == []


HASTY = dataclasses.replace(IMPATIENT, timeout_s=0.5, tries=2)


def test_a_file_that_drips_is_taken_up_where_it_stopped(server: BadServer, tmp_path: Path) -> None:
    download(server.url("drips"), tmp_path / "x.part", patience=HASTY)
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    first, second = (headers.get("Range") for headers in server.headers_seen)
    assert first is None
    assert second is not None
    assert second.startswith("bytes=10")


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("always_drips", r"only \d bytes came in 1 s \(2 tries\)"),
        ("drips_headers", r"\(2 tries\)"),
        ("drips_a_page", r"only \d bytes came in 1 s \(2 tries\)"),
    ],
)
def test_a_server_that_drips_is_given_up(server: BadServer, tmp_path: Path, mode: str, message: str) -> None:
    with no_hang(), pytest.raises(SourceFailed, match=message):
        download(server.url(mode), tmp_path / "x.part", patience=HASTY)


def test_a_handshake_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                with line, suppress(OSError):
                    line.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a ServerHello of 16 kB begins
                    while True:
                        line.sendall(b"\x03")
                        time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        with no_hang(), pytest.raises(SourceFailed, match=r"\(2 tries\)"):
            download(f"https://127.0.0.1:{listener.getsockname()[1]}/x", tmp_path / "x.part", patience=HASTY)


def test_a_page_that_leads_away_from_https_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Page(io.BytesIO):
        status, url = 200, "https://drive.example/x.pth"

        def peek(self, size: int) -> bytes:
            return self.getvalue()[:size]

    page = WARNING.format(action="http://drive.example/x.pth").encode()
    monkeypatch.setattr(module, "_get", lambda *_: Page(page))
    with pytest.raises(SourceFailed, match=r"leads from https to http://drive\.example/x\.pth"):
        download("https://drive.example/x.pth", tmp_path / "x.part", patience=IMPATIENT)


def test_a_confirmed_download_goes_on_where_it_stopped(server: BadServer, tmp_path: Path) -> None:
    download(server.url("confirm_form"), tmp_path / "x.part", patience=IMPATIENT)
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    assert [headers.get("Range") for headers in server.headers_seen] == [None, None, *["bytes=1000000-"] * 2]
