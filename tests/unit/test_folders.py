"""Folders that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.folders import new_folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_is_there_when_it_is_whole_and_replaced_where_it_may_be(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    for name in ("old", "new"):
        with new_folder(out, replace=True) as folder:
            (folder / name).touch()
            assert names(out) == ([] if name == "old" else ["old"])
    assert names(tmp_path) == ["pages", "pages/new"]
    with pytest.raises(SscError, match="pages exists; remove it"), new_folder(out):
        pass


def test_after_an_error_the_old_folder_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "pages" / "old").mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "pages", replace=True) as folder:
        (folder / "new").touch()
        raise ZeroDivisionError
    assert names(tmp_path) == ["pages", "pages/old"]


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    with new_folder(out, replace=True) as mine:
        (mine / "mine").touch()
        if not (child := os.fork()):
            status = 1
            try:
                with new_folder(out, replace=True) as theirs:
                    (theirs / "theirs").touch()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert names(out) == ["theirs"]
    assert names(tmp_path) == ["pages", "pages/mine"]
