"""The lock file pins what was seen first."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import IO

import pytest

from ssc_core.errors import SscError
from ssc_core.weights.lock import LockFile

A, B = "a" * 64, "b" * 64


def test_pins_read_back(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "new" / "sources.lock.json")
    assert lock.pins() == {}
    lock.add("weights/x.pth", sha256=A, size=3, source="http://x/")
    pin = lock.get("weights/x.pth")
    assert pin is not None
    assert (pin.sha256, pin.size, pin.source) == (A, 3, "http://x/")
    assert lock.get("weights/y.pth") is None


def test_the_first_pin_stays(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "lock.json")
    lock.add("x", sha256=A, size=3, source="first")
    before = lock.path.read_bytes()
    lock.add("x", sha256=A, size=3, source="second")
    assert lock.path.read_bytes() == before
    with pytest.raises(SscError, match="pinned to other bytes"):
        lock.add("x", sha256=B, size=3, source="third")
    assert lock.path.read_bytes() == before


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    def add(i: int) -> None:
        LockFile(tmp_path / "lock.json").add(f"file{i:02}", sha256=A, size=i, source="x")

    threads = [threading.Thread(target=add, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(LockFile(tmp_path / "lock.json").pins()) == [f"file{i:02}" for i in range(20)]


def test_on_a_network_drive_that_locks_only_what_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flock(2) of NFS: EBADF for an exclusive lock on what is open for reading alone, as a folder always is."""
    flock = fcntl.flock

    def nfs(file: IO[str], operation: int) -> None:
        if operation & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", nfs)
    test_several_at_once_lose_nothing(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


def test_on_a_drive_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: IO[str], operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", none)
    LockFile(tmp_path / "lock.json").add("x", sha256=A, size=3, source="first")
    assert list(LockFile(tmp_path / "lock.json").pins()) == ["x"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "files": {}}',
        '{"version": 1, "files": []}',
        '{"version": 1, "files": {"x": {}}}',
    ],
)
def test_a_damaged_lock_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock.json").write_text(content)
    with pytest.raises(SscError, match=r"lock\.json"):
        LockFile(tmp_path / "lock.json").pins()


def test_a_hash_that_is_none_is_refused(tmp_path: Path) -> None:
    pin = {"sha256": "guessed", "size": 1, "source": "x", "recorded": "now"}
    (tmp_path / "lock.json").write_text(json.dumps({"version": 1, "files": {"x": pin}}))
    with pytest.raises(SscError, match="no lock file, or damaged"):
        LockFile(tmp_path / "lock.json").pins()
