"""Runs the workflow, from any folder: Snakemake with the project's Snakefile, which a wheel carries, too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ssc_core.checkout import HOME, find_path

_SEVERAL = ("--configfile", "--configfiles")
_ONE = ("--profile", "--workflow-profile")
"""Options of Snakemake that take files or folders which the project has, too: ``--configfile presets/paper.yaml``."""

INTERRUPTED = 128 + signal.SIGINT
"""The status after Ctrl-C."""

_HOW_MANY = ("--cores", "-c", "--jobs", "-j", *_ONE, "--executor", "-e")
"""Options after which Snakemake needs no word on cores, since they say it or may say it."""


def run_workflow(
    arguments: Sequence[str], *, folder: Path | None = None, heard: Callable[[str], None] | None = None
) -> int:
    """Run Snakemake and wait for it; its exit status, or 128 + the signal that ended it or this process was sent.

    arguments: targets and options as on Snakemake's command line; without any number of cores it takes all.
    folder: where results go; None: the current one. heard: gets every line that Snakemake and its jobs print, in place
    of the terminal.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), *complete(arguments)]
    # rules call `python`: it must be this one
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    sys.stdout.flush()
    out, errors = (None, None) if heard is None else (subprocess.PIPE, subprocess.STDOUT)
    child = subprocess.Popen(command, cwd=folder, env={**os.environ, "PATH": path}, stdout=out, stderr=errors)
    with _signals_go_to(child) as sent:
        if heard is not None:
            for line in _lines(child):
                heard(line)
        status = child.wait()
    if status and sent:  # it ends with 1, as after a failed job, or before it has a plan by the signal that we send it
        return 128 + sent[0]
    return status if status >= 0 else 128 - status


def _lines(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """What a process prints, by lines; progress bars rewrite theirs with a carriage return."""
    rest = b""
    while chunk := os.read(child.stdout.fileno(), 65536):  # type: ignore[union-attr]
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        yield from (line.decode(errors="replace") for line in lines)
    yield rest.decode(errors="replace")


def complete(arguments: Sequence[str]) -> list[str]:
    """Arguments for Snakemake: files that the project has are found from any folder, and cores are named."""
    found = list(_find_files(arguments))
    counted = any(option.startswith(_HOW_MANY) for option in arguments if option.startswith("-"))
    return found if counted else ["--cores", "all", *found]


def _find_files(arguments: Sequence[str]) -> Iterator[str]:
    left = 0
    for text in arguments:
        if text.startswith("-"):
            name, equals, value = text.partition("=")
            left = {**dict.fromkeys(_SEVERAL, len(arguments)), **dict.fromkeys(_ONE, 1)}.get(name, 0)
            yield f"{name}={find_path(value)}" if left and equals else text
            left = 0 if equals else left
        else:
            yield find_path(text) if left else text
            left -= left > 0


@contextmanager
def _signals_go_to(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """While the child runs it alone decides what a signal does; yields those that came, as they come.

    A terminal sends Ctrl-C to both and to all jobs, others (``kill -INT``, a container's stop) only to us, which looks
    the same here. A SIGTERM of ours is no harm where Snakemake has the other one, too: it starts no more jobs.
    """
    sent: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield sent
        return

    def pass_on(number: int, frame: object) -> None:
        sent.append(number)
        child.terminate()

    # ignored ones stay so: under `nohup`, and Ctrl-C where a script's shell has started it with `&`
    heard = [one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        yield sent
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
