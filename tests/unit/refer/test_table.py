from __future__ import annotations

import json
import logging
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssc_core.errors import SscError
from ssc_core.refer.records import ImageRecord, RefData, Sentence
from ssc_core.refer.table import read_table

RLE = {"size": [6, 4], "counts": [0, 6, 18]}


def read(tmp_path: Path, photo_folder: Path, content: str | bytes, name: str = "mine.csv") -> RefData:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = read_table(path, photo_folder, default_split="train")
    return replace(data, refs=tuple(data.refs))


def test_csv(tmp_path: Path, photo_folder: Path) -> None:
    data = read(
        tmp_path,
        photo_folder,
        "image,sentences,split,mask\n"
        "sub/b.png,left dog|the  big dog,val,masks/b.png\n"
        'a.png,"[""a cat, black"", ""cat""]",,\n'
        "sub/b.png,tree,,\n",
    )
    assert [(r.ref_id, r.ann_id, r.image_id, r.split) for r in data.refs] == [
        (1, 1, 1, "val"),
        (2, 2, 2, "train"),
        (3, 3, 1, "train"),
    ]
    assert data.refs[0].sentences == (Sentence(1, "left dog", "left dog"), Sentence(2, "the big dog", "the  big dog"))
    assert [s.text for s in data.refs[1].sentences] == ["a cat, black", "cat"]
    assert [s.sent_id for r in data.refs for s in r.sentences] == [1, 2, 3, 4, 5]
    assert data.refs[0].segmentation == tmp_path / "masks/b.png"
    assert data.refs[1].segmentation is None
    assert (data.refs[0].category_id, data.refs[0].category) == (0, "")
    assert {ref.image for ref in data.refs} == {ImageRecord(1, "sub/b.png", 6, 4), ImageRecord(2, "a.png", 6, 4)}


def test_a_photo_is_one_however_a_table_spells_it(tmp_path: Path, photo_folder: Path) -> None:
    rows = ["sub/b.png,dog", "./sub/b.png,cat", "Sub\\B.PNG,cow"]
    data = read(tmp_path, photo_folder, "\r\n".join(["\ufeffimage,sentences", *rows]))
    assert [ref.image for ref in data.refs] == [ImageRecord(1, "sub/b.png", 6, 4)] * 3


def test_spreadsheets_make_train_of_the_split_with_a_capital(tmp_path: Path, photo_folder: Path) -> None:
    splits = ["Train", " VAL ", "Test", "testA", "Mine", ""]
    data = read(tmp_path, photo_folder, "image,sentences,split\n" + "".join(f"a.png,dog,{one}\n" for one in splits))
    assert [ref.split for ref in data.refs] == ["train", "val", "test", "testA", "Mine", "train"]


BLANKS = [("", ""), (" ", " "), ("\t", "\xa0")]


@pytest.mark.parametrize(("split", "mask"), [*BLANKS, (None, None), (float("nan"), float("nan"))])
def test_a_blank_cell_is_an_empty_one(tmp_path: Path, photo_folder: Path, split: object, mask: object) -> None:
    row = {"image": "a.png", "sentences": "dog", "split": split, "mask": mask}
    pq.write_table(pa.table({key: [cell] for key, cell in row.items()}), tmp_path / "t.parquet")
    found = [read(tmp_path, photo_folder, (tmp_path / "t.parquet").read_bytes(), "mine.parquet")]
    if split == split:  # JSON has no NaN
        found.append(read(tmp_path, photo_folder, json.dumps(row), "mine.jsonl"))
    if (split, mask) in BLANKS:
        found.append(read(tmp_path, photo_folder, f"image,split,sentences,mask\na.png,{split},dog,{mask}\n"))
    assert [(ref.split, ref.segmentation) for data in found for ref in data.refs] == [("train", None)] * len(found)


@pytest.mark.parametrize("missing", ["NA", "NaN", "nan"])
def test_what_r_and_data_frames_write_for_missing_values_is_empty_in_csv(
    tmp_path: Path, photo_folder: Path, missing: str
) -> None:
    rows = f"a.png,dog|{missing}|banana,{missing},{missing}\na.png,{missing},val,\n"
    data = read(tmp_path, photo_folder, f"image,sentences,split,mask\n{rows}")
    said = [[sentence.text for sentence in ref.sentences] for ref in data.refs]
    assert (said, [ref.split for ref in data.refs]) == ([["dog", "", "banana"], [""]], ["train", "val"])
    assert data.refs[0].segmentation is None
    with pytest.raises(SscError, match="line 2: 'image' is empty"):
        read(tmp_path, photo_folder, f"image,sentences\n{missing},dog\n")
    row = json.dumps({"image": "a.png", "sentences": [missing]})
    assert read(tmp_path, photo_folder, row, "mine.jsonl").refs[0].sentences[0].text == missing, "JSON has null"


def test_jsonl(tmp_path: Path, photo_folder: Path) -> None:
    rows = [{"image": "a.png", "sentences": ["dog | cat"], "mask": RLE}, {"image": "a.png", "sentences": ["cat"]}]
    data = read(tmp_path, photo_folder, "\n\n".join(json.dumps(row) for row in rows), "mine.jsonl")
    assert [s.text for r in data.refs for s in r.sentences] == ["dog | cat", "cat"]
    assert data.refs[0].segmentation == RLE
    assert data.refs[1].where.endswith("mine.jsonl, line 3")


def test_rows_added_at_the_end_leave_ids_alone(tmp_path: Path, photo_folder: Path) -> None:
    text = "image,sentences\na.png,dog|cat\nsub/b.png,tree\n"
    before = read(tmp_path, photo_folder, text)
    after = read(tmp_path, photo_folder, text + "a.png,bird\n")
    assert after.refs[:2] == before.refs


def test_byte_order_mark_of_spreadsheets(tmp_path: Path, photo_folder: Path) -> None:
    data = read(tmp_path, photo_folder, b"\xef\xbb\xbfimage,sentences\r\na.png,\xc3\xa9l\xc3\xa9phant\r\n")
    assert data.refs[0].sentences[0].text == "éléphant"


def test_column_that_nothing_reads_is_announced(
    tmp_path: Path, photo_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read(tmp_path, photo_folder, "image,sentences,msk\na.png,dog,m.png\n")
    assert "columns that nothing reads: msk" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "image;sentences;split\r\na.png;dog, brown|cat;val\r\n",
        "image\tsentences\tsplit\na.png\tdog, brown|cat\tval\n",
        'Image, Sentences ,SPLIT\na.png,"dog, brown|cat",val\n',
        '"image","sentences","split",,\n"a.png","dog, brown|cat","val",,\n,,,,\n',
        '\ufeff image,sentences,split\na.png,"[""dog, brown"", ""cat""]",val\n',
    ],
    ids=["semicolons", "tabs", "capitals and blanks", "empty columns and rows", "byte order mark"],
)
def test_what_spreadsheets_make_of_a_table_is_read(tmp_path: Path, photo_folder: Path, content: str) -> None:
    data = read(tmp_path, photo_folder, content)
    assert [(r.split, [s.text for s in r.sentences]) for r in data.refs] == [("val", ["dog, brown", "cat"])]


def test_keys_of_every_row_are_checked(tmp_path: Path, photo_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"image": "a.png", "sentences": ["dog"]}, {"image": "a.png", "sentences": ["cat"], "Split": "val"}]
    rows.append({"image": "a.png", "sentences": ["cow"], "Split": "val", "Mask": []})
    with caplog.at_level(logging.WARNING):
        read(tmp_path, photo_folder, "\n".join(map(json.dumps, rows)), "mine.jsonl")
    assert "line 2: columns that nothing reads: Split (" in caplog.text
    assert "line 3: columns that nothing reads: Mask (" in caplog.text


def test_rows_of_bad_photos_are_left_out_when_asked(tmp_path: Path, photo_folder: Path) -> None:
    (photo_folder / "empty.png").write_bytes(b"")
    (tmp_path / "mine.csv").write_text(
        "image,sentences\na.png,dog\nempty.png,cat\ngone.png,cow\ngone.png,ox\na.png,elk\n"
    )
    data = read_table(tmp_path / "mine.csv", photo_folder, default_split="train", skip_bad_photos=True)
    refs = list(data.refs)
    assert [(ref.ref_id, ref.sentences[0].sent_id, ref.sentences[0].text) for ref in refs] == [
        (1, 1, "dog"),
        (5, 5, "elk"),
    ]
    ((note, count),) = data.notes.items()
    assert count == 3
    assert "2 of 3 photos cannot be read" in note
    assert "empty.png is empty (0 bytes)" in note
    (tmp_path / "mine.csv").write_text("image,sentences\nempty.png,cat\n")
    with pytest.raises(SscError, match="1 of 1 photos cannot be read"):
        list(read_table(tmp_path / "mine.csv", photo_folder, default_split="train", skip_bad_photos=True).refs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,sentences,sentences\na.png,dog,cat\n", r"line 1: column 'sentences' occurs twice"),
        ("image,Image ,sentences\na.png,dog,cat\n", r"line 1: column 'image' occurs twice"),
        ("image,sentences,mask\na.png,dog,[[1\n", r"line 2: 'mask' starts as a COCO segmentation but"),
        ("photo;text\na.png;dog\n", r"line 1: no column 'image'.* this file begins 'photo;text'"),
        (f"image,sentences\na.png,[{'9' * 5000}]\n", r"line 2: 'sentences' starts as a JSON list but is not valid"),
        ("image,sentence\na.png,dog\n", r"mine\.csv, line 1: no column 'sentences'"),
        ("Image,Sentence\na.png,dog\n", r"no column 'sentences'; .* this file begins 'Image,Sentence'"),
        ("text;Image\ndog;a.png\n", r"no column 'sentences'"),
        ("image,sentences\na.png,dog\n,cat\n", r"mine\.csv, line 3: 'image' is empty"),
        ("image,sentences\na.png,dog,brown\n", r"line 2: more cells than columns"),
        ("image,sentences\na.png\n", r"line 2: 'sentences' must be"),
        ('image,sentences\na.png,"[""dog"n', r"line 2"),
        ("image,sentences\na.png,[dog\n", r"line 2: 'sentences' starts as a JSON list"),
        ("image,sentences,split\na.png,dog,../up\n", r"line 2: split '../up': use letters"),
        ("image,sentences\n/etc/a.png,dog\n", r"line 2: photo '/etc/a.png' must be a path inside"),
        ("image,sentences\n../a.png,dog\n", r"line 2: photo '../a.png' must be a path inside"),
        ("image,sentences\n", r"mine\.csv has no rows"),
        ("", r"line 1: no column 'image'"),
        (b"image,sentences\na.png,caf\xe9\n", r"mine\.csv is not UTF-8 text"),
    ],
)
def test_bad_csv_names_file_and_line(tmp_path: Path, photo_folder: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SscError, match=message):
        read(tmp_path, photo_folder, content)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"mine\.jsonl, line 2 is not valid JSON"),
        ("[1]", r"line 2 is no JSON object"),
        ('{"image": "a.png", "sentences": [1]}', r"line 2: 'sentences' must be"),
        ('{"image": "a.png", "sentences": ["x"], "sentences": ["y"]}', r"line 2 has the key 'sentences' twice"),
        ('{"image": "a.png"}', r"line 2: no column 'sentences'; the row has image"),
        (f'{{"image": {"9" * 5000}}}', r"line 2 is not valid JSON"),
        ('{"image": "a.png", "sentences": ["x"], "mask": 7}', r"line 2: 'mask' must be"),
        ('{"image": "a.png", "sentences": ["x"], "split": 7}', r"line 2: split 7 is no text"),
    ],
)
def test_bad_jsonl_names_file_and_line(tmp_path: Path, photo_folder: Path, line: str, message: str) -> None:
    good = json.dumps({"image": "a.png", "sentences": ["dog"]})
    with pytest.raises(SscError, match=message):
        read(tmp_path, photo_folder, f"{good}\n{line}\n", "mine.jsonl")


def test_all_unreadable_photos_are_listed_at_once(tmp_path: Path, photo_folder: Path) -> None:
    (photo_folder / "text.png").write_text("no image")
    content = "image,sentences\ngone.png,dog\na.png,cat\ngone.png,cow\ntext.png,bird\n"
    with pytest.raises(SscError) as error:
        read(tmp_path, photo_folder, content)
    message = str(error.value)
    assert message.startswith("2 of 3 photos cannot be read")
    assert "line 2: " in message and "gone.png does not exist" in message
    assert "line 5: " in message and "text.png is not an image" in message


def test_missing_table_and_other_formats(tmp_path: Path, photo_folder: Path) -> None:
    with pytest.raises(SscError, match=r"cannot read .*mine\.csv"):
        list(read_table(tmp_path / "mine.csv", photo_folder, default_split="train").refs)
    with pytest.raises(SscError, match=r"ends in \.csv, .* or \.parquet"):
        list(read_table(tmp_path / "mine.xlsx", photo_folder, default_split="train").refs)


def test_rows_are_read_one_by_one_and_anew(tmp_path: Path, photo_folder: Path) -> None:
    (tmp_path / "mine.csv").write_text("image,sentences\na.png,dog\nsub/b.png,cat\n,no photo\n")
    data = read_table(tmp_path / "mine.csv", photo_folder, default_split="train")
    for _ in range(2):  # the third row, which is wrong, is not reached
        assert [ref.sentences[0].text for ref in islice(data.refs, 2)] == ["dog", "cat"]
    with pytest.raises(SscError, match="line 4: 'image' is empty"):
        list(data.refs)
