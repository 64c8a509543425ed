"""What one process does at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssc_core.locks import only_process


def test_one_process_holds_a_file_which_is_there_meanwhile(tmp_path: Path) -> None:
    guard = tmp_path / "new" / "guard"
    with only_process(guard, wait=False) as first, only_process(guard, wait=False) as second:
        assert (first, second) == (True, False)
        assert guard.is_file()
    assert not guard.exists()
    with only_process(guard, wait=True) as first:
        assert first


def test_others_who_share_the_folder_are_told_that_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, opened, before = tmp_path / "guard", Path.open, os.umask(0o077)
    try:
        with only_process(guard, wait=False):
            assert guard.stat().st_mode & 0o777 == 0o666

            def another_users(path: Path, mode: str = "r") -> object:
                if mode != "r":
                    raise PermissionError
                return opened(path, mode)

            monkeypatch.setattr(Path, "open", another_users)
            with only_process(guard, wait=False) as alone:
                assert not alone
    finally:
        os.umask(before)
