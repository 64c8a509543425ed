"""The HTTP side of the Hugging Face Hub on loopback, as far as ``huggingface_hub`` asks it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


class HubStandIn(ThreadingHTTPServer):
    """One repository.

    files: its content; as_sent: content that is sent in place of it; breaks: how often a download of a file breaks off
    half-way; seen: requests as (method, path); tokens: what was sent to authorise them; ranges: what was
    asked for in parts.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.as_sent: dict[str, bytes] = {}
        self.breaks: dict[str, int] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.ranges: list[str] = []
        self.needs_token = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubStandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        path, body = self._request()
        if path is None:
            return
        if path == "/api/repos/create":
            self._json({"url": f"{self.server.address}/me/it"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": n, "uploadMode": _mode(n), "shouldIgnore": False, "oid": None} for n in files]
            self._json({"files": modes})
        elif path.endswith("/objects/batch"):
            asked = json.loads(body)["objects"]
            self._json(
                {
                    "transfer": "basic",
                    "objects": [
                        {**one, "actions": {"upload": {"href": f"{self.server.address}/upload/{one['oid']}"}}}
                        for one in asked
                    ],
                }
            )
        elif "/commit/" in path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "lfsFile":
                    self.server.files[entry["value"]["path"]] = self.server.objects[entry["value"]["oid"]]
            self._json(
                {"commitUrl": f"{self.server.address}/me/it/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
            )
        else:
            self._json({"error": f"nothing here: {path}"}, 404)

    def do_PUT(self) -> None:
        path, body = self._request()
        if path is not None:
            oid = path.rpartition("/")[2]
            self.server.objects[oid] = body
            self._json({}, 200 if hashlib.sha256(body).hexdigest() == oid else 400)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _ = self._request()
        if path is None:
            return
        if re.fullmatch(r"/api/(models|datasets)/me/it(/revision/\w+)?", path):
            siblings = [_sibling(name, content) for name, content in self.server.files.items()]
            self._json({"id": "me/it", "sha": COMMIT, "siblings": siblings})
        elif (found := re.fullmatch(rf"(?:/datasets)?/me/it/resolve/{COMMIT}/(.+)", path)) is not None:
            self._send(unquote(found[1]))
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _request(self) -> tuple[str | None, bytes]:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.seen.append((self.command, path))
        token = self.headers.get("Authorization", "")
        self.server.tokens.add(token)
        if self.server.needs_token and token != f"Bearer {self.server.needs_token}" and "/upload/" not in path:
            self._json({"error": "Invalid username or password."}, 401)
            return None, body
        return path, body

    def _send(self, name: str) -> None:
        stated, content = self.server.files[name], self.server.as_sent.get(name, self.server.files[name])
        start = 0
        if (asked := self.headers.get("Range")) and self.command == "GET":
            self.server.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(stated).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "HEAD":
            return
        part = content[start:]
        if self.server.breaks.get(name, 0) > 0:
            self.server.breaks[name] -= 1
            part, self.close_connection = part[: len(part) // 2], True
        self.wfile.write(part)

    def _json(self, value: object, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)


def _mode(name: str) -> str:
    return "lfs" if name.endswith((".pt", ".parquet")) else "regular"


def _sibling(name: str, content: bytes) -> dict[str, object]:
    known: dict[str, object] = {"rfilename": name, "size": len(content)}
    known["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if _mode(name) == "lfs":
        known["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return known


@contextmanager
def running() -> Iterator[HubStandIn]:
    """The server in a thread, until the block ends."""
    server = HubStandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
