"""What tells that a photo or a mask of a table is another than before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ssc_core.refer.named_files import NamedFiles
from ssc_core.refer.table import read_whole_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("photos/a.png", "photos/unnamed.png", "a.png"):
        (tmp_path / name).write_bytes(b"123")
        os.utime(tmp_path / name, (5, 5))
    (tmp_path / "refs.csv").write_text("image,sentences,mask\nA.png,x,a.png\na.png,y,\ngone.png,z,\n")
    return tmp_path


def files_of(folder: Path) -> NamedFiles:
    found = NamedFiles(folder / "photos", folder / "refs.csv")
    for row in read_whole_rows(folder / "refs.csv"):
        found.add(row)
    return found


def test_photos_and_masks_by_name(folder: Path) -> None:
    found = files_of(folder)
    assert dict(found.photos) == {"a.png": 2, "gone.png": 1}
    assert found.paths == [
        ("a.png", folder / "photos/a.png"),
        ("gone.png", folder / "photos/gone.png"),
        ("a.png", folder / "a.png"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "photos/gone.png").touch(),
        lambda folder: (folder / "photos/a.png").unlink(),
        lambda folder: os.utime(folder / "photos/a.png", (5, 4)),  # of the same size, and older
        lambda folder: os.utime(folder / "a.png", (5, 6)),
        lambda folder: (os.truncate(folder / "a.png", 2), os.utime(folder / "a.png", (5, 5))),
    ],
)
def test_another_file_is_another_state(folder: Path, change: Callable[[Path], object]) -> None:
    before = files_of(folder).state()
    change(folder)
    assert files_of(folder).state() != before


def test_the_same_files_are_the_same_state_wherever_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = files_of(folder).state()
    (folder / "photos/unnamed.png").write_bytes(b"x")
    moved = folder.rename(tmp_path_factory.mktemp("moved") / "there")
    monkeypatch.chdir(moved)
    assert files_of(moved).state() == before
    assert files_of(Path()).state() == before
