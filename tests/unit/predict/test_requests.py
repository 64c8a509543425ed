from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssc_core.errors import SscError
from ssc_core.pictures import PHOTO_FORMATS, PHOTO_SUFFIXES
from ssc_core.predict.outputs import OutputWriter, Prediction
from ssc_core.predict.requests import Request, by_photo, read_requests
from ssc_core.refer.images import load_image


def test_a_photo_and_sentences(photos: Path) -> None:
    found = read_requests(photos / "b.png", ["the  dog", "cat"])
    assert found == [Request(photos / "b.png", "b.png", (text,)) for text in ("the dog", "cat")]


def test_a_folder_and_a_sentence_leaves_other_files_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "A.JPG").write_bytes(b"")
    assert [one.name for one in read_requests(tmp_path, ["dog"])] == ["A.JPG"]
    assert [one.name for one in read_requests(photos, ["dog"])] == ["a.png", "b.png", "c.png"]


def test_what_a_folder_holds_besides_photos_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.jpg", "b.JFIF", "c.gif", "d.avif", "e.tif", "f.heic", "notes.txt", "._a.jpg", ".DS_Store", "g"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "day 2").mkdir()
    (tmp_path / "day 2" / "h.jpg").write_bytes(b"")
    found = read_requests(tmp_path, ["dog"])
    assert [one.name for one in found] == ["a.jpg", "b.JFIF", "c.gif", "d.avif", "e.tif"]
    (line,) = caplog.messages
    assert "5 photos; passed over 1 .heic; 1 .txt; 2 hidden; 1 without ending; 1 sub-folder: day 2" in line


def test_answers_of_a_former_run_are_no_photos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo = np.zeros((3, 4, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    OutputWriter(tmp_path, ("mask",)).add(Prediction("a.png", "dog", photo, photo[:, :, 0] > 0, {}))
    Image.fromarray(photo).save(tmp_path / "a_2.mask.png")
    assert [one.name for one in read_requests(tmp_path, ["dog"])] == ["a.png", "a_2.mask.png"]
    assert "passed over 1 of a former run" in caplog.text


def test_every_format_of_the_list_is_found_and_read(tmp_path: Path) -> None:
    for format_, suffixes in PHOTO_FORMATS.items():
        for suffix in suffixes:
            Image.new("RGB", (8, 6), "red").save(tmp_path / f"photo{suffix}", format=format_)
    found = read_requests(tmp_path, ["dog"])
    assert {one.photo.suffix for one in found} == PHOTO_SUFFIXES
    assert {load_image(one.photo).shape for one in found} == {(6, 8, 3)}


@pytest.mark.parametrize(
    "texts",
    [
        ["refs.xlsx"],
        ["my refs.xlsx"],
        ["refs.txt"],
        ["refs.csv.gz"],
        ["refs.csv", "more.csv"],
        ["the dog", "refs.csv"],
        ["refs.csv", "the dog"],
        ["other.png", "the dog"],
        ["the dog", "notes"],
        ["the dog", "sub/folder"],
    ],
)
def test_a_file_is_never_taken_for_a_sentence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("a file without an ending")
    (tmp_path / "sub/folder").mkdir(parents=True)
    with pytest.raises(SscError, match=r"table|photo|name of a file"):
        read_requests(photos, texts)


def test_sentences_that_are_none_of_these(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog").mkdir()  # a folder of dogs beside the sentence
    texts = ["dog", "man no. 12", "the u.s. flag", "left.", "cup w/ handle", "dog/cat", "a" * 5000]
    assert [one.sentences for one in read_requests(photos / "a.png", texts)] == [(text,) for text in texts]


def test_the_photo_comes_first(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,sentences\na.png,dog\n")
    with pytest.raises(SscError, match="photo or folder comes first"):
        read_requests(tmp_path / "refs.csv", [str(tmp_path)])
    with pytest.raises(SscError, match="does not exist"):
        read_requests(Path("a" * 5000), ["dog"])


def test_of_a_table_and_one_photo_nothing_else_is_read(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "day/a.png").write_bytes((photos / "a.png").read_bytes())
    table = tmp_path / "refs.csv"
    table.write_text("image,sentences\nmissing.png,dog\nday/a.png,cat\n/etc/passwd,[\na.png,horse\n./b.png,cow\n")
    (nested,) = read_requests(tmp_path / "day/a.png", [str(table)])
    assert (nested.photo, nested.sentences) == (tmp_path / "day/a.png", ("cat",))
    assert [one.sentences for one in read_requests(photos / "a.png", [str(table)])] == [("horse",)]
    assert [one.sentences for one in read_requests(photos / "b.png", [str(table)])] == [("cow",)]


def test_of_a_table_of_another_computer_and_one_photo(photos: Path, tmp_path: Path) -> None:
    photo = tmp_path / "Café.png"
    photo.write_bytes((photos / "a.png").read_bytes())
    table = tmp_path / "refs.csv"
    apart = unicodedata.normalize("NFD", f"{tmp_path.name}\\CAFÉ.PNG")
    table.write_text(f"image,sentences\n{apart},cat\n", encoding="utf-8")
    assert read_requests(photo, [str(table)]) == [Request(photo, f"{tmp_path.name}/Café.png", ("cat",))]
    table.write_text("image,sentences\nCafé.png,dog\nCAFÉ.png,cow\n", encoding="utf-8")
    assert read_requests(photo, [str(table)]) == [Request(photo, "Café.png", ("dog",))], (
        "the other may be another photo"
    )


def test_rows_without_a_sentence_are_counted(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "refs.csv").write_text("image,sentences\na.png,dog\nb.png,\nc.png, | \n")
    assert [one.name for one in read_requests(photos, [str(tmp_path / "refs.csv")])] == ["a.png"]
    assert "passed over 2 rows without a sentence" in caplog.text


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
