"""Commands that are killed on the way."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SECONDS = 1200
"""In which what is waited for must be there."""


def kill_when(
    there: Callable[[], bool], command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Start a command in a folder, and SIGKILL it and all that it started once ``there`` says yes."""
    inherited, mine = os.pipe()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, stdin=inherited,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(inherited)
    deadline = time.monotonic() + SECONDS
    while not there():
        assert process.poll() is None, "the command ended by itself"
        assert time.monotonic() < deadline, f"what was waited for did not come in {SECONDS} seconds"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    held = select.poll()
    held.register(mine, 0)
    assert held.poll(1000 * SECONDS), "a process that the command had started lives on"
    os.close(mine)
