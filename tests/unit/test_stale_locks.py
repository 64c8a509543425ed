"""A killed run's locks go; a living run's, and another machine's, stay."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RUN = """
import sys, time
from pathlib import Path
from ssc_core.stale_locks import clear_stale_locks
cleared = clear_stale_locks(Path(sys.argv[1]))
Path(sys.argv[1], "locks").mkdir(exist_ok=True)
Path(sys.argv[1], "locks", "0.input.lock").touch()
print(cleared, flush=True)
time.sleep(60)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator:
    """Start a run that marks itself alive, says whether it cleared locks, takes locks, and stays; returns both."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], bool]:
        process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline() == "True\n"

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_locks_of_a_killed_run_are_removed(run) -> None:
    first, cleared = run()
    assert not cleared
    first.kill()
    first.wait()
    assert run()[1]


def test_locks_of_a_living_run_stay(run, tmp_path: Path) -> None:
    run()
    second, cleared = run()
    assert not cleared
    second.kill()
    second.wait()
    _, cleared = run()  # the first one is still alive
    assert not cleared
    assert (tmp_path / "locks" / "0.input.lock").exists()


def test_locks_of_another_machine_stay(run, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.input.lock").touch()
    (tmp_path / "alive.lock").write_text("another-node")
    assert not run()[1]
    assert (tmp_path / "locks" / "0.input.lock").exists()
