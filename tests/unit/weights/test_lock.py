"""The lock file pins what was seen first."""

from __future__ import annotations

import json
import threading
from pathlib import Path

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
