"""As much of the Kubernetes API as Snakemake's executor plug-in calls; a job's container runs as a process here.

It checks what a real server would refuse: GPUs without a limit. Images are not pulled: every container runs in this
environment, in an empty folder of its own as /workdir.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Cluster:
    """Jobs by name and secrets by name, as they were submitted, and the processes of the jobs."""

    folder: Path
    path: str
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def submit(self, job: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Start a job; status and body of the answer."""
        name, (container,) = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"]
        asked = container["resources"]
        for kind, amount in asked["requests"].items():
            if "/" in kind and asked.get("limits", {}).get(kind) != amount:
                return 422, {"message": f"{kind}: Limit must be set for non overcommitable resources"}
        secret = {
            one["name"]: base64.b64decode(self.secrets[ref["name"]][ref["key"]]).decode()
            for one in container.get("env", [])
            for ref in [one["valueFrom"]["secretKeyRef"]]
        }
        workdir = self.folder / name
        workdir.mkdir()
        self.jobs[name] = job
        self.processes[name] = subprocess.Popen(
            [*container["command"], *container["args"]],
            cwd=workdir,
            env={"PATH": self.path, "HOME": str(workdir), **secret},
            stdout=(self.folder / f"{name}.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        return 201, job

    def status(self, name: str) -> dict[str, Any]:
        code = self.processes[name].poll()
        ended = {} if code is None else {"failed": 1} if code else {"succeeded": 1}
        return {**self.jobs[name], "status": ended}

    def pods(self, name: str) -> dict[str, Any]:
        """The one pod of a job, once it has ended."""
        code = self.processes[name].poll()
        if code is None:
            return {"items": []}
        state = {"terminated": {"exitCode": code}}
        status = {"name": "snakemake", "state": state, "image": "", "imageID": "", "ready": False, "restartCount": 0}
        return {"items": [{"metadata": {"name": name}, "status": {"containerStatuses": [status]}}]}

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


def serve(folder: Path, path: str) -> tuple[ThreadingHTTPServer, Cluster]:
    """A server on this machine alone, and what it was asked for. path: the containers' PATH."""
    cluster = Cluster(folder, path)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/secrets"):
                cluster.secrets[body["metadata"]["name"]] = body["data"]
                self._answer(201, body)
            else:
                self._answer(*cluster.submit(body))

        def do_GET(self) -> None:
            if found := re.search(r"/jobs/([\w-]+)/status", self.path):
                self._answer(200, cluster.status(found[1]))
            elif found := re.search(r"/pods/([\w-]+)/log", self.path):
                self._answer(200, cluster.log(found[1]))
            elif found := re.search(r"/pods\?labelSelector=job-name%3D([\w-]+)", self.path):
                self._answer(200, cluster.pods(found[1]))
            else:
                self._answer(404, {"message": self.path})

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(200, {"kind": "Status"})

        def _answer(self, status: int, body: Any) -> None:
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler), cluster


def write_kubeconfig(server: ThreadingHTTPServer, file: Path) -> None:
    """How the server is reached."""
    context = {"cluster": "here", "user": "me"}
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
    }
    file.write_text(json.dumps(content))
