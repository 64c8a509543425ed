"""One job of the workflow: run a script, keep what it says in a log, and tell how it ended.

``python -m ssc_core.job LOG MEM_MB SCRIPT OPTIONS...`` is the shell line of every rule (``call`` in rules/shell.smk).

A process that is killed cannot say so itself. This one, which needs little memory, outlives the script, ends with its
exit status (128 + signal when it was killed), and leaves none of the script's own processes behind: workers that wait
for a dead parent would hold memory, GPUs and the log open for ever. Imports nothing heavy.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ssc_core.cpu_environment import for_torch
from ssc_core.failures import AGAIN, ASKED_MEMORY

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's ``prctl(2)``."""

SENT_BY: dict[int, str] = {
    signal.SIGKILL: "as the kernel does when memory runs out (the OOM killer), and schedulers at a job's limits",
    signal.SIGTERM: "as schedulers do at a job's time limit, and who cancels a job",
    signal.SIGINT: "as Ctrl-C does",
    signal.SIGHUP: "as a terminal does when it is closed",
}


def run(log: Path, mem_mb: str, command: Sequence[str]) -> int:
    """Run ``command`` with its output on stdout and in ``log``; its exit status, or 128 + the signal that killed it.

    mem_mb: the memory that the job asked for, megabytes, for the message.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # processes whose parent dies become children of this one
    output, into = os.pipe()
    environment = {**os.environ, **for_torch(os.environ), ASKED_MEMORY: mem_mb}
    script = subprocess.Popen(command, stdout=into, stderr=into, env=environment, preexec_fn=_die_with_parent)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # tee inherits this: what is sent to all must not silence the log
    tee = subprocess.Popen(["tee", "--", log], stdin=output)
    signal.signal(signal.SIGTERM, lambda *_: script.terminate())
    os.close(output)
    status = script.wait()
    _end_children(but=tee.pid)
    if status < 0:
        os.write(into, f"\nerror: {killed(-status, mem_mb)}\n".encode())
    os.close(into)
    tee.wait()
    return status if status >= 0 else 128 - status


def killed(number: int, mem_mb: str) -> str:
    """What is known of a job that signal ``number`` ended. Its largest process is that of this process's children."""
    name = next((known.name for known in signal.Signals if known == number), "unknown")
    sender = SENT_BY.get(number, "as crashed native code is")
    ended = f"the job was killed by signal {number} ({name}), {sender}."
    if number in (signal.SIGINT, signal.SIGHUP):  # no question of memory
        return f"{ended} {AGAIN}"
    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    return (
        f"{ended} It had asked for {mem_mb} MB of memory (`mem_mb`); its largest process held {held} MB. "
        f"{AGAIN}; more memory: `--set-resources RULE:mem_mb=...`"
    )


def _end_children(but: int) -> None:
    """End what the script started and left behind, and wait for it: then no GPU and no file is held any more."""
    while left := [pid for pid in _children() if pid != but]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    files = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in files for pid in file.read_text().split()]


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere orphans stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    log, mem_mb, script, *options = sys.argv[1:]
    sys.exit(run(Path(log), mem_mb, [sys.executable, "-m", f"workflow_scripts.{script}", *options]))
