"""A killed run's locks go, whoever else is at work; a living run's, and another machine's, stay, whoever else ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snakemake.persistence.file import FilePersistence

from ssc_core.stale_locks import begin_run, keep_locks_of_others

RUN = """
import sys, time
from pathlib import Path
from ssc_core.stale_locks import begin_run
folder, name, says = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "says"
run = begin_run(folder)
lock = folder / "locks" / name
if name != "none":
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
if says:
    run.owns([lock] if name != "none" else [])
print(run.cleared, flush=True)
time.sleep(60)
"""

Start = Callable[..., tuple[subprocess.Popen[str], bool]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a run that marks itself, takes a lock of a name, may say so, and stays; also whether it cleared locks."""
    started: list[subprocess.Popen[str]] = []

    def run(lock: str, says: bool = True) -> tuple[subprocess.Popen[str], bool]:
        command = [sys.executable, "-c", RUN, str(tmp_path), lock, "says" if says else "is silent"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline() == "True\n"

    yield run
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("locks/*"))


@pytest.mark.parametrize("says", [True, False])
def test_locks_of_a_killed_run_are_removed(start: Start, tmp_path: Path, says: bool) -> None:
    first, cleared = start("0.input.lock", says)
    assert not cleared
    kill(first)
    assert begin_run(tmp_path).cleared
    assert locks(tmp_path) == []
    assert not begin_run(tmp_path).cleared


def test_they_are_removed_while_another_run_is_at_work(start: Start, tmp_path: Path) -> None:
    start("0.input.lock")
    second, _ = start("1.input.lock")
    kill(second)
    assert begin_run(tmp_path).cleared
    assert locks(tmp_path) == ["0.input.lock"]


def test_a_run_that_has_not_said_may_own_what_was_made_since(start: Start, tmp_path: Path) -> None:
    planning, _ = start("none", says=False)
    killed, _ = start("0.input.lock")
    kill(killed)
    assert not begin_run(tmp_path).cleared
    kill(planning)
    assert begin_run(tmp_path).cleared


def test_a_plan_that_began_after_a_run_was_killed_is_not_in_the_way(start: Start, tmp_path: Path) -> None:
    killed, _ = start("0.input.lock", says=False)
    kill(killed)
    lock = tmp_path / "locks" / "0.input.lock"
    earlier = lock.stat().st_mtime_ns
    note = next(tmp_path.glob("alive/*.json"))
    note.rename(note.with_name("kept"))  # so that the plan does not clear it itself
    start("none", says=False)
    note.with_name("kept").rename(note)
    assert lock.stat().st_mtime_ns == earlier
    assert begin_run(tmp_path).cleared


def test_a_name_that_a_living_run_took_over_stays(start: Start, tmp_path: Path) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    (tmp_path / "locks" / "0.input.lock").unlink()  # snakemake --unlock
    note = next(tmp_path.glob("alive/*.json"))
    content = note.read_text()
    time.sleep(0.02)  # file times are those of clock ticks
    start("0.input.lock")
    note.write_text(content)
    assert not begin_run(tmp_path).cleared
    assert locks(tmp_path) == ["0.input.lock"]


@pytest.mark.parametrize("host", ["another-node", None])
def test_locks_of_another_machine_and_of_nobody_stay(start: Start, tmp_path: Path, host: str | None) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    note = next(tmp_path.glob("alive/*.json"))
    if host:
        note.write_text(json.dumps({**json.loads(note.read_text()), "host": host}))
    else:
        note.unlink()
    assert not begin_run(tmp_path).cleared
    assert locks(tmp_path) == ["0.input.lock"]


@pytest.mark.parametrize("text", ["", "[]", '{"host": 1}'])
def test_a_note_that_says_nothing_proves_nothing(start: Start, tmp_path: Path, text: str) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    next(tmp_path.glob("alive/*.json")).write_text(text)
    assert not begin_run(tmp_path).cleared
    assert locks(tmp_path) == ["0.input.lock"]


def test_an_old_plan_of_another_machine_is_not_waited_for(start: Start, tmp_path: Path) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    plan = tmp_path / "alive" / "plan.json"
    plan.write_text('{"host": "another-node", "locks": null}')
    hours_ago = time.time() - 7200
    os.utime(plan, (hours_ago, hours_ago))
    assert begin_run(tmp_path).cleared


def test_a_run_that_ends_takes_its_note_along(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ssc_core.stale_locks import begin_run; begin_run(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert list(tmp_path.glob("alive/*.json")) == []


@pytest.mark.parametrize("gone", ["alive/gone.json", "locks/7.input.lock"])
def test_what_another_run_takes_away_meanwhile_is_no_hindrance(start: Start, tmp_path: Path, gone: str) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    (tmp_path / gone).symlink_to(tmp_path / "nowhere")  # listed, and not there when it is opened
    run = begin_run(tmp_path)
    assert run.cleared
    assert run.note is not None


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take away what this user may do with a file, as one that is another user's: "write", "read" or "unlink"."""

    def forbid(path: Path, *rights: str) -> None:
        opened, unlinked = Path.open, Path.unlink

        def open_(self: Path, mode: str = "r", **more: object) -> object:
            if self == path and ("read" in rights or ("write" in rights and set(mode) & set("+wax"))):
                raise PermissionError
            return opened(self, mode, **more)

        def unlink(self: Path, **more: bool) -> None:
            if self == path and "unlink" in rights:
                raise PermissionError
            unlinked(self, **more)

        monkeypatch.setattr(Path, "open", open_)
        monkeypatch.setattr(Path, "unlink", unlink)

    return forbid


@pytest.mark.parametrize("rights", [["write"], ["write", "read"]])
def test_another_users_note_costs_a_run_no_note_of_its_own(
    start: Start, tmp_path: Path, forbid: Callable[..., None], rights: list[str]
) -> None:
    killed, _ = start("0.input.lock", says=False)
    kill(killed)
    forbid(next(tmp_path.glob("alive/*.json")), *rights)
    forbid(tmp_path / "alive/mutex", "write")
    run = begin_run(tmp_path)
    assert run.note is not None
    assert run.cleared == ("read" not in rights), "of a note that cannot be read, nobody knows whether its run lives"
    assert locks(tmp_path) == ([] if run.cleared else ["0.input.lock"])


def test_a_lock_that_is_not_this_users_to_remove_stays_with_its_note(
    start: Start, tmp_path: Path, forbid: Callable[..., None]
) -> None:
    killed, _ = start("0.input.lock")
    kill(killed)
    forbid(tmp_path / "locks/0.input.lock", "unlink")
    run = begin_run(tmp_path)
    assert run.note is not None
    assert not run.cleared
    assert len(list(tmp_path.glob("alive/*.json"))) == 2


def test_all_who_share_the_folder_see_who_lives(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    before = os.umask(0o077)
    try:
        run = begin_run(tmp_path)
    finally:
        os.umask(before)
    assert run.note
    modes = {path.suffix or path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"alive": 0o775, "mutex": 0o666, ".json": 0o644}


class Persistence(FilePersistence):
    """Changed by a test, where Snakemake's own stays as it is."""


def test_a_run_that_ends_leaves_the_locks_of_others(tmp_path: Path) -> None:
    keep_locks_of_others(Persistence)
    first, planning, unlocking = (Persistence(path=tmp_path) for _ in range(3))
    first._write_locks("input", ["a.png"])
    first._write_locks("output", ["a.h5"])
    second = Persistence(path=tmp_path)
    second._write_locks("output", ["b.h5"])
    second.unlock()
    assert locks(tmp_path) == ["0.input.lock", "0.output.lock"]
    first.unlock()
    assert locks(tmp_path) == []
    Persistence(path=tmp_path).unlock()  # of a run whose rules have no files
    planning._write_locks("output", ["c.h5"])  # its folder is there still
    assert (tmp_path / "locks" / "0.output.lock").read_text() == "c.h5\n"
    unlocking.cleanup_locks()
    assert locks(tmp_path) == []
