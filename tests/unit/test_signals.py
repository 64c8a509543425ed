"""SIGTERM and SIGHUP: what a process holds is given back, and its parent sees by which signal it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssc_core.checkout import HOME
from tests.patience import SECONDS

TERM, HUP = signal.SIGTERM, signal.SIGHUP
BEGIN = """
import os, signal, sys
from ssc_core import signals
from ssc_core.signals import ends_in_order
signals.AGAIN_S = {again}
signal.signal({number}, signal.{before})
with ends_in_order():
    try:
        {now}
    finally:
        {then}
        print("cleaned")
print("went on")
"""


@pytest.mark.parametrize("number", [TERM, HUP])
@pytest.mark.parametrize(
    ("again", "before", "then", "said", "ends"),
    [
        (60, "SIG_DFL", "pass", "cleaned\n", True),
        (60, "SIG_DFL", "signal.raise_signal({number})", "cleaned\n", True),  # as from a scheduler and ssc_core.job
        (-1, "SIG_DFL", "signal.raise_signal({number})", "", True),
        (60, "SIG_IGN", "pass", "cleaned\nwent on\n", False),  # nohup
    ],
)
def test_a_process_cleans_up_and_ends_by_the_signal(
    number: int, again: int, before: str, then: str, said, ends
) -> None:
    now = f"signal.raise_signal({int(number)})"
    code = BEGIN.format(again=again, number=int(number), before=before, now=now, then=then.format(number=int(number)))
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.stdout, done.returncode) == (said, -number if ends else 0)


def test_a_forked_worker_is_ended_as_ever() -> None:
    now = "if not (child := os.fork()): signal.raise_signal(15)"
    then = "if child: print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    code = BEGIN.format(again=60, number=15, before="SIG_DFL", now=now, then=then)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "-15\ncleaned\nwent on\n"


def test_a_command_cleans_up() -> None:
    code = (
        "import signal, ssc_core.cli.main as cli\n"
        "def app():\n    try: signal.raise_signal(15)\n    finally: print('cleaned')\n"
        "cli.app = app\ncli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.stdout, done.returncode) == ("cleaned\n", -TERM)


def test_a_job_cleans_up_and_its_log_says_by_what_it_ended(tmp_path: Path) -> None:
    (tmp_path / "ended.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom ssc_core.files import atomic_path\n\n\n"
        "def main(out: Path) -> None:\n    with atomic_path(out) as temporary:\n        temporary.touch()\n"
        "        os.kill(os.getppid(), 15)\n        time.sleep(600)\n"
    )
    out, log = tmp_path / "results" / "masks.h5", tmp_path / "log"
    command = [sys.executable, "-m", "ssc_core.job", log, "300", "call", "ended:main", f"--out={out}"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{HOME}"}
    assert subprocess.run(command, env=environment, timeout=SECONDS, check=False).returncode == 128 + TERM
    assert "killed by signal 15 (SIGTERM)" in log.read_text()
    assert list(out.parent.iterdir()) == []
