from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from ssc_core.refer.spelling import Spellings

COMPOSED, APART = (unicodedata.normalize(form, "Straße am Café.JPG") for form in ("NFC", "NFD"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (APART, "day 1/one.jpg", "twice.jpg", "Twice.JPG", "Twice.jpg", "one\\two.png", "one/two.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("day 1/one.jpg", "day 1/one.jpg"),
        ("./day 1//one.jpg", "day 1/one.jpg"),
        ("Day 1\\ONE.JPG", "day 1/one.jpg"),
        (COMPOSED, APART),
        (APART, APART),
        ("STRASSE AM CAFÉ.jpg", APART),
        ("one\\two.png", "one\\two.png"),
        ("twice.jpg", "twice.jpg"),
        ("TWICE.JPG", "TWICE.JPG"),  # which one is meant?
        ("day 1/two.jpg", "day 1/two.jpg"),
        ("day 1/one.jpg/x", "day 1/one.jpg/x"),
        ("..\\secret.jpg", "..\\secret.jpg"),
        ("a" * 300, "a" * 300),
        ("a\0b", "a\0b"),
    ],
)
def test_the_name_that_the_folder_has(folder: Path, written: str, meant: str) -> None:
    (folder.parent / "secret.jpg").touch()
    assert Spellings(folder).find(written) == meant
