"""How ``ssc`` calls Snakemake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ssc_core.checkout import HOME
from ssc_core.cli import workflow
from ssc_core.cli.workflow import complete
from tests.patience import SECONDS

PAPER = f"{HOME}/presets/paper.yaml"


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ("x", "--cores all x"),
        ("-c4 x", "-c4 x"),
        ("--cores 4 x", "--cores 4 x"),
        ("-j 2 x", "-j 2 x"),
        ("--configfile presets/paper.yaml mine.yaml -n -- x", f"--cores all --configfile {PAPER} mine.yaml -n -- x"),
        ("--configfile=presets/paper.yaml presets", f"--cores all --configfile={PAPER} presets"),
        ("--workflow-profile profiles/slurm presets", f"--workflow-profile {HOME}/profiles/slurm presets"),
        ("presets/paper.yaml", "--cores all presets/paper.yaml"),
        ("--config results=presets", "--cores all --config results=presets"),
    ],
)
def test_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: str, called: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete(arguments.split()) == called.split()


def test_a_file_of_the_current_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/paper.yaml").touch()
    assert complete(["-n", "-c1", "--configfile", "presets/paper.yaml"])[-1] == "presets/paper.yaml"


def ssc(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ssc_core.cli.main", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_what_snakemake_says_and_how_it_ends_is_passed_on(tmp_path: Path) -> None:
    shown = ssc(tmp_path, "run", "--version")
    assert shown.communicate()[0].startswith("9.")
    assert shown.returncode == 0
    refused = ssc(tmp_path, "run", "-n", "results/refcoco/nothing.h5")
    assert "nothing.h5" in refused.communicate()[0]
    assert refused.returncode == 1


@pytest.mark.parametrize(
    ("send", "number"),
    [(os.kill, signal.SIGTERM), (os.kill, signal.SIGINT), (os.kill, signal.SIGHUP), (os.killpg, signal.SIGINT)],
    ids=["SIGTERM", "SIGINT", "SIGHUP", "Ctrl-C"],
)
def test_a_signal_reaches_snakemake(send: Callable[[int, int], None], number: signal.Signals, tmp_path: Path) -> None:
    """Which the child does not get by itself: it gets SIGTERM, and its end is told. Ctrl-C, which a terminal sends to
    all: Snakemake ends with 1 then, as after a failed job, and that it was interrupted is told."""
    (tmp_path / "snakemake.py").write_text(
        "import pathlib, sys, time\npathlib.Path('started').touch()\ntry:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    sys.exit(1)\n"
    )
    parent = started(tmp_path)
    send(parent.pid, number)
    assert parent.wait(timeout=SECONDS) == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["&", "nohup"])
def test_an_ignored_signal_is_ignored(number: signal.Signals, tmp_path: Path) -> None:
    """A shell has what a script starts with ``&`` ignore Ctrl-C."""
    (tmp_path / "snakemake.py").write_text(
        "import pathlib, time\npathlib.Path('started').touch()\nwhile not pathlib.Path('end').exists():\n"
        "    time.sleep(0.05)\n"
    )
    parent = started(tmp_path, ignored=number)
    os.killpg(parent.pid, number)
    (tmp_path / "end").touch()
    assert parent.wait(timeout=SECONDS) == 0


def started(folder: Path, ignored: int | None = None) -> subprocess.Popen[bytes]:
    """A process that has started the snakemake.py of ``folder``."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{HOME}"}
    ignore = "" if ignored is None else f"import signal; signal.signal({int(ignored)}, signal.SIG_IGN); "
    code = f"import sys; {ignore}from ssc_core.cli.workflow import run_workflow; sys.exit(run_workflow([]))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, start_new_session=True)
    while not (folder / "started").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    return parent


def test_what_is_printed_may_be_heard_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "snakemake.py").write_text(
        "import sys\nprint('Job 1: one')\nsys.stderr.write('10%|\\r20%|\\n')\nsys.stdout.write('no end')\nsys.exit(3)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{HOME}", "PYTHONUNBUFFERED": "1"}
    code = (
        "import sys; from ssc_core.cli.workflow import run_workflow; heard = []\n"
        "status = run_workflow([], heard=heard.append); print(heard); sys.exit(status)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 3
    assert run.stdout.strip() == str(["Job 1: one", "10%|", "20%|", "no end"])


def test_python_of_the_rules_is_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: dict[str, str] = {}

    class Child:
        def __init__(self, command: list[str], *, env: dict[str, str], **_: object) -> None:
            started.update(env)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(workflow.subprocess, "Popen", Child)
    assert workflow.run_workflow(["-n"]) == 0
    assert started["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
