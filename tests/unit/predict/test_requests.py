from __future__ import annotations

from pathlib import Path

import pytest

from ssc_core.errors import SscError
from ssc_core.predict.requests import Request, by_photo, read_requests


def test_a_photo_and_sentences(photos: Path) -> None:
    found = read_requests(photos / "b.png", ["the  dog", "cat"])
    assert found == [Request(photos / "b.png", "b.png", (text,)) for text in ("the dog", "cat")]


def test_a_folder_and_a_sentence_leaves_other_files_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "A.JPG").write_bytes(b"")
    assert [one.name for one in read_requests(tmp_path, ["dog"])] == ["A.JPG"]
    assert [one.name for one in read_requests(photos, ["dog"])] == ["a.png", "b.png", "c.png"]


def test_a_table(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "refs.csv"
    table.write_text("image,sentences\nc.png,dog|the dog\na.png,cat\nc.png,cat\n")
    found = read_requests(photos, [str(table)])
    assert [(one.name, one.sentences) for one in found] == [
        ("a.png", ("cat",)),
        ("c.png", ("dog", "the dog")),
        ("c.png", ("cat",)),
    ]
    assert [len(members) for _, members in by_photo(found)] == [1, 2]
    assert [one.sentences for one in read_requests(photos / "a.png", [str(table)])] == [("cat",)]


@pytest.mark.parametrize(
    ("where", "texts", "message"),
    [
        ("nowhere", ["dog"], "does not exist"),
        (".", [" "], "no sentence"),
        (".", ["missing.csv"], "missing.csv"),
        ("empty", ["dog"], "has no photos"),
    ],
)
def test_nothing_to_do(photos: Path, where: str, texts: list[str], message: str) -> None:
    (photos / "empty").mkdir(exist_ok=True)
    with pytest.raises(SscError, match=message):
        read_requests(photos / where, texts)


def test_a_table_without_the_photo(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "refs.csv"
    table.write_text("image,sentences\nc.png,dog\n")
    with pytest.raises(SscError, match=r"no sentence for .*a\.png"):
        read_requests(photos / "a.png", [str(table)])
