"""The process around every job: its exit status, its log, and what a killed job leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ssc_core.checkout import HOME
from tests.patience import SECONDS

# runs one job and exits as the process around it does
AROUND = "import sys; from pathlib import Path; from ssc_core.job import run; sys.exit(run(Path(sys.argv[1]), *{}))"


def around(log: Path, code: str, **options: object) -> subprocess.Popen[str]:
    """A process around the job ``python -c code``, which asked for 300 MB."""
    program = AROUND.format(("300", [sys.executable, "-c", code]))
    return subprocess.Popen([sys.executable, "-c", program, str(log)], stdout=subprocess.PIPE, text=True, **options)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("status", [0, 1, 7, 200])
def test_the_status_is_the_scripts_and_its_output_is_in_the_log(tmp_path: Path, status: int) -> None:
    code = f"import os, sys; os.write(1, b'one\\n'); os.write(2, b'two\\n'); sys.exit({status})"
    job = around(tmp_path / "log", code)
    assert job.communicate(timeout=SECONDS)[0] == "one\ntwo\n"
    assert job.returncode == status
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, r"by signal 9 \(SIGKILL\).*memory runs out"),
        (signal.SIGTERM, r"by signal 15 \(SIGTERM\).*time limit"),
        (signal.SIGSEGV, r"by signal 11 \(SIGSEGV\).*crashed"),
        (signal.SIGRTMIN + 1, rf"by signal {signal.SIGRTMIN + 1} "),
    ],
)
def test_a_killed_job_says_by_what_and_which_memory_it_had_asked_for(tmp_path: Path, number: int, words: str) -> None:
    job = around(tmp_path / "log", f"import os; os.kill(os.getpid(), {int(number)})")
    shown = job.communicate(timeout=SECONDS)[0]
    assert job.returncode == 128 + number
    assert re.search(words, shown)
    assert "asked for 300 MB of memory (`mem_mb`)" in shown
    assert (tmp_path / "log").read_text() == shown


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "signal 2 (SIGINT), as Ctrl-C does"),
        (signal.SIGHUP, "signal 1 (SIGHUP), as a terminal does when it is closed"),
    ],
)
def test_an_interrupted_job_says_so_in_one_line(tmp_path: Path, number: signal.Signals, words: str) -> None:
    (tmp_path / "waiting.py").write_text(
        "import os, time\nfrom pathlib import Path\n\n\ndef main(started: Path) -> None:\n"
        "    started.write_text(str(os.getpid()))\n    time.sleep(60)\n"
    )
    started = tmp_path / "started"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{HOME}"}
    command = [sys.executable, "-m", "ssc_core.job", str(tmp_path / "log"), "300", "call", "waiting:main"]
    job = subprocess.Popen([*command, f"--started={started}"], env=environment, stdout=subprocess.PIPE, text=True)
    while not (started.exists() and started.read_text()):
        assert job.poll() is None
        time.sleep(0.05)
    os.kill(int(started.read_text()), number)
    said = job.communicate(timeout=SECONDS)[0].strip()
    assert job.returncode == 128 + number
    assert said.startswith(f"error: the job was killed by {words}. Finished work is kept")
    assert "\n" not in said and "memory" not in said


def test_the_memory_that_a_killed_job_held_is_told(tmp_path: Path) -> None:
    job = around(tmp_path / "log", "import os; full = b'x' * (200 << 20); os.kill(os.getpid(), 9)")
    held = int(re.search(r"its largest process held (\d+) MB", job.communicate(timeout=SECONDS)[0]).group(1))
    assert 200 <= held < 300


def test_what_a_killed_job_had_started_ends_with_it(tmp_path: Path) -> None:
    """Workers of a killed parent would hold the log open, and whoever reads it would wait for ever."""
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import subprocess; print(subprocess.Popen([\"sleep\", "
        "\"600\"]).pid, flush=True); import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); child.wait()"
    )  # fmt: skip
    job = around(tmp_path / "log", code)
    pids = [int(job.stdout.readline()) for _ in range(2)]
    script = parent_of(min(pids))
    os.kill(script, signal.SIGKILL)
    assert job.wait(SECONDS) == 137
    assert not any(alive(pid) for pid in (*pids, script))


def parent_of(pid: int) -> int:
    return int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE).group(1))


def test_a_signal_to_all_of_a_job_reaches_the_script_and_is_told(tmp_path: Path) -> None:
    """As SLURM ends a step: every process of it gets SIGTERM."""
    job = around(tmp_path / "log", "import time; print('on', flush=True); time.sleep(600)", start_new_session=True)
    assert job.stdout.readline() == "on\n"
    os.killpg(job.pid, signal.SIGTERM)
    assert job.wait(SECONDS) == 143
    assert "killed by signal 15 (SIGTERM)" in (tmp_path / "log").read_text()


def test_a_signal_to_the_process_around_is_passed_on(tmp_path: Path) -> None:
    job = around(tmp_path / "log", "import time; print('on', flush=True); time.sleep(600)")
    assert job.stdout.readline() == "on\n"
    job.terminate()
    assert job.wait(SECONDS) == 143
    assert "killed by signal 15 (SIGTERM)" in (tmp_path / "log").read_text()


def test_a_job_does_not_outlive_the_process_around_it(tmp_path: Path) -> None:
    job = around(tmp_path / "log", "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    script = int(job.stdout.readline())
    job.kill()
    job.wait()
    deadline = time.monotonic() + SECONDS
    while alive(script):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_out_of_memory_killer_is_told(tmp_path: Path) -> None:
    """The kernel itself, in a control group of 64 MB."""
    place = next((p for p in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if p.is_dir()), None)
    group = place / f"ssc-test-{os.getpid()}" if place else tmp_path / "none" / "here"
    try:
        group.mkdir()
        limit = next(group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        limit.write_text(str(64 << 20))
    except (OSError, StopIteration):
        with suppress(OSError):
            group.rmdir()
        pytest.skip("limiting memory needs root and a control group of memory")
    code = (
        f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        "full = []\nwhile True: full.append(b'x' * (1 << 20))"
    )
    try:
        job = around(tmp_path / "log", code)
        shown = job.communicate(timeout=SECONDS)[0]
    finally:
        group.rmdir()
    assert job.returncode == 137
    assert "killed by signal 9 (SIGKILL), as the kernel does when memory runs out" in shown
    assert "It had asked for 300 MB" in shown


def test_a_worker_that_is_killed_says_what_memory_the_job_had_asked_for(tmp_path: Path) -> None:
    code = (
        "from concurrent.futures.process import BrokenProcessPool\nfrom ssc_core.failures import explain\n"
        "print(explain(BrokenProcessPool()))"
    )
    assert "(`mem_mb`: it had asked for 300 MB)" in around(tmp_path / "log", code).communicate(timeout=SECONDS)[0]
