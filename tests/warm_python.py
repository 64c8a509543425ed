"""A `python` that has imported the libraries of others: what is called with ``-m`` or ``-c`` begins in a tenth of a
second, where a job of a rule would first import PyTorch and Transformers for five.

The server (``python warm_python.py SOCKET``) forks a process for every call; the client, which lies first on PATH under
the name of python, hands over its arguments, folder, environment, stdin, stdout and stderr, and ends as the call ended,
by the same signal too. Where the client is killed, so is all that the call started. What starts the script of a rule
(``JOB``) runs in the client itself. Nothing of this repository is imported before the fork: each call imports that
itself, from where its folder and PYTHONPATH say. What a library reads of the environment when it is imported, as
Kubernetes' does KUBECONFIG, is the server's.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

LIBRARIES = """
cv2 h5py matplotlib.figure nltk open_clip pandas PIL.ImageDraw PIL.ImageFont PIL.JpegImagePlugin PIL.PngImagePlugin
pyarrow.compute pyarrow.parquet pycocotools.mask pydantic safetensors.torch scipy.optimize scipy.spatial scipy.stats
segment_anything.modeling smart_open snakemake_storage_plugin_s3 spacy
snakemake.cli snakemake.dag snakemake.profiles snakemake.report.html_reporter snakemake.workflow
torch.utils.checkpoint torch.utils.data torchvision.transforms tqdm transformers.generation typer yaml yte
transformers.models.bert.modeling_bert transformers.models.bert.tokenization_bert
transformers.models.grounding_dino.modeling_grounding_dino transformers.models.swin.modeling_swin
"""
"""What stages, Snakemake and ``ssc`` import of others."""

CLIENTS_PLACE = "bin/python"
"""Beside the socket."""
KUBECONFIG = "kubeconfig"
"""Beside the socket, where a call finds its cluster: which file it is, Kubernetes reads of the server's environment."""

JOB = "ssc_core.job"
"""Imports nothing heavy: without a fork it begins in a third of the time. That of a wheel is forked, since the client
finds no packages."""

CLIENT = """#!{python} -SE
import os, sys
safe = sys.argv[1:2] == ["-P"]
if sys.argv[1 + safe :][:1] not in (["-m"], ["-c"]):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
if sys.argv[1 + safe : 3 + safe] == ["-m", {job!r}]:
    places = [*([] if safe else [os.getcwd()]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    if any(os.path.exists(os.path.join(place, *{job!r}.split(".")) + ".py") for place in places):
        import runpy
        sys.path[:0], sys.executable = places, sys.argv[0]
        del sys.argv[: 2 + safe]
        runpy.run_module({job!r}, run_name="__main__", alter_sys=True)
import json, signal, socket
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = {{
        "arguments": sys.argv[1 + safe :], "folder": os.getcwd(), "safe": safe, "environment": dict(os.environ),
    }}
    socket.send_fds(server, [b"!"], [0, 1, 2])
    server.sendall(json.dumps(call).encode() + b"\\n")
    ended = int(server.makefile().readline())
if ended < 0:
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


@contextmanager
def running(folder: Path, command: Sequence[str] = ()) -> Iterator[Path]:
    """Start a server in a new folder, and yield the python that calls it, in a folder of its own for PATH.

    command: of a server that has imported more, or that another Python runs; the socket's path is put behind it.
    """
    folder.mkdir()
    address = folder / "socket"
    client = folder / CLIENTS_PLACE
    client.parent.mkdir()
    started = [*(command or (sys.executable, __file__)), str(address)]
    client.write_text(CLIENT.format(python=started[0], address=str(address), job=JOB))
    client.chmod(0o755)
    # Also where this process may not write such files: without those of our own modules, each call would compile them,
    # and each plan read them all for the digests of code, which takes a second.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "KUBECONFIG": str(folder / KUBECONFIG)}
    with subprocess.Popen(
        started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    ) as server:
        assert server.stdout is not None and server.stdin is not None
        assert server.stdout.readline() == "ready\n"
        yield client


def import_all(names: Sequence[str]) -> None:
    for name in names:
        with suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)


def serve(address: str) -> NoReturn:
    """Answer calls for as long as whoever started this lives, and stdin is open with it."""
    client = str(Path(address).parent / CLIENTS_PLACE)
    calls: dict[int, socket.socket] = {}
    """Clients that wait, by the process that works for them and leads a group."""
    ended, signals = os.pipe()
    os.set_blocking(signals, False)
    signal.set_wakeup_fd(signals)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False  # no call takes apart what was imported: PyTorch's operators are hundreds
    gc.freeze()  # what is shared stays shared
    gc.enable()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        print("ready", flush=True)
        while sys.stdin not in (ready := select.select([server, sys.stdin, ended, *calls.values()], [], [])[0]):
            if server in ready:
                _accept(server, calls, client)
            for pid in [pid for pid, connection in calls.items() if connection in ready]:
                os.killpg(pid, signal.SIGKILL)  # not reaped yet, so the number is its own
                calls.pop(pid).close()
            if ended in ready:
                os.read(ended, 4096)
                _reap(calls)
    for pid in calls:
        os.killpg(pid, signal.SIGKILL)
    os._exit(0)  # what was imported need not be taken apart


def _accept(server: socket.socket, calls: dict[int, socket.socket], client: str) -> None:
    connection, _ = server.accept()
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as stream:
        call = json.loads(stream.readline())
    child = os.fork()
    with suppress(OSError):  # the other one was faster
        os.setpgid(child, child)  # in both processes, so that the group is there whichever goes on first
    if child == 0:
        for other in (server, connection, *calls.values()):
            other.close()
        for mine, theirs in enumerate(streams):
            os.dup2(theirs, mine)
    for theirs in streams:
        os.close(theirs)
    if child:
        calls[child] = connection
    else:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os._exit(_run(client, **call))


def _reap(calls: dict[int, socket.socket]) -> None:
    """Tell clients how their calls ended."""
    with suppress(ChildProcessError):  # none left
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(calls.pop(one[0], None), one[1])


def _tell(client: socket.socket | None, status: int) -> None:
    """client: None where it was killed."""
    if client:
        with client, suppress(OSError):
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(client: str, arguments: list[str], folder: str, safe: bool, environment: dict[str, str]) -> int:
    """What ``python -m`` or ``-c`` does, and with ``-P``, where safe; the exit status."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = client  # calls of calls
    own = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [*([] if safe else [folder]), *own, *sys.path]
    importlib.invalidate_caches()
    kind, what, *sys.argv[1:] = arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0
    try:
        if kind == "-c":
            sys.argv[0], main = "-c", types.ModuleType("__main__")
            sys.modules["__main__"] = main
            exec(compile(what, "<string>", "exec"), main.__dict__)
        else:
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as at the end of Python
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    gc.disable()  # until the server has frozen what was imported
    import_all(LIBRARIES.split())
    serve(sys.argv[1])
