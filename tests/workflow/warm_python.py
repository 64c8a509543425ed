"""A `python` for rules' shell lines that has imported torch and the stages: a job begins in a tenth of a second.

The server (``python warm_python.py SOCKET WORDS``) forks a process for every job; the client, which lies first on PATH
under the name of python, hands over its arguments, folder, environment, stdout and stderr, and ends as the job ended,
by the same signal too. In it open_clip's names stand for small networks.

Where the job's folder holds ``died/``, a job of the first of two shards kills itself as it is about to write its second
image or ref, once. So whatever names the config gives, every stage dies in its middle and is to go on.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIENT = """#!{python} -SE
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    job = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(server, [b"!"], [0, 1, 2])
    server.sendall(json.dumps(job).encode() + b"\\n")
    ended = int(server.makefile().readline())
if ended < 0:
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


def write_client(folder: Path, address: Path) -> Path:
    """A folder for PATH."""
    folder.mkdir()
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    return folder


def serve(address: str, words: str) -> None:
    _import_all(Path(words))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    _handle(connection)


def _import_all(words: Path) -> None:
    import torch
    from transformers import GenerationMixin  # noqa: F401

    import ssc_core.doctor
    import ssc_core.masks.gather
    import ssc_core.refer.index
    import ssc_core.segment.boxes
    import ssc_core.segment.masks
    import ssc_core.segment.nouns
    import ssc_core.select.score_stage
    import ssc_core.select.stage  # noqa: F401
    from ssc_core.masks.selection import ScoreStoreWriter
    from ssc_core.masks.store import MaskStoreWriter
    from ssc_core.plugins import _named
    from ssc_core.registry import BACKEND, REGISTRY
    from tests.unit.select.tiny_open_clip import TAGS, small

    torch.set_num_threads(1)
    for name in REGISTRY.keys() - {"grounding_dino_original"}:
        _named(BACKEND, name)
    for name in TAGS:
        for mapping, key, value in small(name, words):
            mapping[key] = value
    MaskStoreWriter.append_image = _dies_at_its_second_call(MaskStoreWriter.append_image)
    ScoreStoreWriter.append_ref = _dies_at_its_second_call(ScoreStoreWriter.append_ref)


def _dies_at_its_second_call(method: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(None)
        out = next((one for one in sys.argv if one.startswith("--out=")), "")
        mark = Path("died") / out.removeprefix("--out=").replace("/", "_")
        if len(calls) == 2 and ".0-of-2" in out and mark.parent.is_dir() and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments, **options)

    return call


def _handle(connection: socket.socket) -> None:
    """A job of its own process; this one waits for it and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, (stdin, stdout, stderr), _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as stream:
        job = json.loads(stream.readline())
    child = os.fork()
    if child == 0:
        connection.close()
        for mine, theirs in enumerate((stdin, stdout, stderr)):
            os.dup2(theirs, mine)
            os.close(theirs)
        os._exit(_run(**job))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{status}\n".encode())
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str]) -> int:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = str(Path(environment["PATH"].split(os.pathsep)[0]) / "python")  # for jobs of jobs
    flag, module, *sys.argv[1:] = arguments
    if flag != "-m":
        raise AssertionError(f"python {' '.join(arguments)}: rules call modules")
    sys.path.insert(0, folder)
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(*sys.argv[1:])
